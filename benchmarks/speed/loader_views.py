"""Time that a loader takes for the views of a batch: lightly's transform image by image, BatchedViews in `collate_fn`.

    python -m ssl_zoo.benchmarks.speed.loader_views [--rounds N] [--json FILE]

One process, one thread, no workers. The ways take turns on the same images, after a round that is not counted; the
clock is that of the process's CPU time, so that other load counts little. A ratio is that of one round's two times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from ssl_zoo.from_lightly import other_transforms
from ssl_zoo.hardware.heap import keep_freed_memory
from ssl_zoo.standalone.batched_views import BatchedViews

from .augmentation import smooth_images

__all__ = ["main", "measure"]

SIZES = {32: 256, 96: 64, 224: 16}  # side of images and views: images of a round, in batches of this number
NAMES = ("SimSiamTransform", "SimCLRTransform", "MoCoV2Transform")


class Pictures(Dataset[Any]):
    """PIL images with a label, as a transform makes them."""

    def __init__(self, pictures: list[Image.Image], transform: Any = None) -> None:
        self.pictures, self.transform = pictures, transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = self.pictures[index]
        return (picture if self.transform is None else self.transform(picture)), 0


def measure(rounds: int) -> list[dict[str, Any]]:
    """Returns for each transform and size the views per CPU second of both ways and the ratios of the rounds."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for side, count in SIZES.items():
        arrays = smooth_images(count, side).permute(0, 2, 3, 1).numpy()
        pictures = [Image.fromarray(array) for array in arrays]
        for name in NAMES:
            lightly = other_transforms()[name](input_size=side)
            collate: Any = BatchedViews(name, input_size=side).collate
            loaders = (
                DataLoader(Pictures(pictures, lightly), batch_size=count),
                DataLoader(Pictures(pictures), batch_size=count, collate_fn=collate),
            )
            times = [[_seconds(loader) for loader in loaders] for _ in range(rounds + 1)][1:]
            ratios = sorted(theirs / ours for theirs, ours in times)
            speeds = [2 * count / statistics.median(column) for column in zip(*times, strict=True)]
            rows.append(
                {
                    "transform": name,
                    "side": side,
                    "lightly": speeds[0],
                    "batched": speeds[1],
                    "ratios": ratios,
                }
            )
    return rows


def main() -> None:
    """Prints a row for each transform and size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.rounds)
    print("| views | transform | lightly, views/s | BatchedViews, views/s | ratio (least to most) |")
    print("|---|---|---|---|---|")
    for row in rows:
        ratios, speeds = row["ratios"], f"{row['lightly']:.0f} | {row['batched']:.0f}"
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(f"| {row['side']} px | {row['transform']} | {speeds} | {spread} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _seconds(loader: Any) -> float:
    start = time.process_time()
    for _ in loader:
        pass
    return time.process_time() - start


if __name__ == "__main__":
    main()
