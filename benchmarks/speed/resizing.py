"""What it costs in accuracy that crops of files are resized by torch, not by Pillow: SimSiam on small photographs.

    python -m ssl_zoo.benchmarks.speed.resizing --folder DIR [--images N] [--epochs N] [--seeds N]

DIR holds a folder per class. Its images are enlarged to 160 pixels and saved as JPEG, and trained on in views of 48
pixels, once with either way of resizing for each seed; all else is the same, the boxes too. Prints kNN accuracies.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

import ssl_zoo
from ssl_zoo.data import reader_split

__all__ = ["enlarge", "main"]

SIDE, VIEW = 160, 48
NAMES = {1: "Pillow", 2: "torch"}


def enlarge(source: Path, folder: Path, count: int) -> None:
    """Writes `count` images of a folder, evenly of its classes, as JPEGs of 160 pixels."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for kind in classes:
        (folder / kind.name).mkdir()
        for file in sorted(kind.iterdir())[: count // len(classes)]:
            image = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            image.save(folder / kind.name / f"{file.stem}.jpg", quality=95)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains in both ways, and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    accuracies: dict[int, list[float]] = {number: [] for number in NAMES}
    both = dict(reader_split.RESIZINGS)
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images"
        images.mkdir()
        enlarge(options.folder, images, options.images)
        run = ["method=simsiam", "data=imagefolder", f"data.train={images}", "data.holdout=0.3"]
        run += ["backbone.name=resnet10t", f"augment.size={VIEW}", "batch_size=64", "data.workers=0"]
        run += [f"epochs={options.epochs}", "monitor.every_epochs=1000", "monitor.probe.draws=2"]
        for seed in range(options.seeds):
            for number, values in accuracies.items():
                reader_split.RESIZINGS = {number: both[number]}
                run_dir = f"run_dir={Path(name) / f'{number}-{seed}'}"
                result = ssl_zoo.train([*run, f"seed={seed}", run_dir], silent=True)
                assert result.knn_top1 is not None
                values.append(100 * result.knn_top1)
                sys.stdout.write(
                    f"seed {seed}, {NAMES[number]}: kNN {values[-1]:.2f} %, loss {result.loss:.4f}\n"
                )
                sys.stdout.flush()
    for number, values in accuracies.items():
        sys.stdout.write(
            f"{NAMES[number]}: kNN {statistics.mean(values):.2f} ± {statistics.stdev(values):.2f} %\n"
        )
    gaps = [b - a for a, b in zip(*accuracies.values(), strict=True)]
    sys.stdout.write(
        f"torch minus Pillow, by seed: {statistics.mean(gaps):.2f} ± {statistics.stdev(gaps):.2f}\n"
    )


if __name__ == "__main__":
    main()
