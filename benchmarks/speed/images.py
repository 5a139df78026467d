"""Images per second of CPU time, from JPEG files to two views: now, before, and by lightly.

    python -m ssl_zoo.benchmarks.speed.images [--folder DIR] [--images N] [--rounds N] [--size PIXELS] [--json FILE]

The ways take turns in one process, which is pinned to one core with its worker process, one thread each. The clock
counts the CPU time of both, so that other load counts little. The first round is a warmup and not counted.

    decode, Pillow          each file decoded to RGB
    decode, torchvision     likewise
    crops, before           two crops of each image, read, cut and resized by Pillow; handed over by a worker process
    crops, now              the same boxes, by ssl-zoo's loader of today
    views, ssl-zoo          these crops, and flip, jitter, grayscale and blur on the whole batch
    views, lightly          lightly's LightlyDataset and SimSiamTransform in a DataLoader

The files are 500 x 375 photographs: mosaics of the images below DIR (8 x 6 of CIFAR-10's), enlarged to twice their
size; without it, of random waves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.functional import to_pil_image

from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data import FileSplit
from ssl_zoo.data.crop import crop_and_resize
from ssl_zoo.data.decode import read_image, to_array
from ssl_zoo.data.photo import decode_photo
from ssl_zoo.data.rng import stream
from ssl_zoo.from_lightly import LightlyDataset, MultiViewCollate, SimSiamTransform
from ssl_zoo.hardware.heap import keep_freed_memory

from .augmentation import MEAN, STD, smooth_images

__all__ = ["Gap", "gap_to_pillow", "main", "measure", "write_photos"]

WIDTH, HEIGHT, QUALITY, TILE, ENLARGED = 500, 375, 95, 32, 2
FILES = 64  # which are read again and again, so that starting a process counts little
BATCH = 64
SLOWER = 4  # lightly makes a quarter of the views


def write_photos(folder: Path, count: int, source: Path | None) -> list[str]:
    """Writes JPEG files of 500 x 375 pixels, of as many bytes as photographs have, and returns their names."""
    (folder / "photos").mkdir(parents=True)
    tiles = None if source is None else sorted(p for p in source.rglob("*") if p.suffix in (".jpg", ".png"))
    columns, rows = -(-WIDTH // (TILE * ENLARGED)), -(-HEIGHT // (TILE * ENLARGED))
    waves = smooth_images(64, TILE)
    names = []
    for number in range(count):
        random = np.random.default_rng(number)
        mosaic = Image.new("RGB", (columns * TILE, rows * TILE))
        for place in range(columns * rows):
            if tiles is None:
                tile = to_pil_image(waves[random.integers(len(waves))])
            else:
                tile = Image.open(tiles[random.integers(len(tiles))]).convert("RGB").resize((TILE, TILE))
            mosaic.paste(tile, (place % columns * TILE, place // columns * TILE))
        size = (mosaic.width * ENLARGED, mosaic.height * ENLARGED)
        photo = mosaic.resize(size, Image.Resampling.BICUBIC).crop((0, 0, WIDTH, HEIGHT))
        names.append(f"photos/{number}.jpg")
        photo.save(folder / names[-1], quality=QUALITY)
    return names


class _Before:
    """The work of the loader as it was: positions (n,) -> two (n, 3, size, size)."""

    def __init__(self, paths: Sequence[str], views: Sequence[ViewConfig]) -> None:
        self.paths, self.views = paths, views

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> list[Tensor]:
        images = [read_image(self.paths[i], 3) for i in index.tolist()]
        crops = [self._crops(image, i) for image, i in zip(images, index.tolist(), strict=True)]
        return [torch.from_numpy(np.stack(view)) for view in zip(*crops, strict=True)]

    def _crops(self, image: Any, position: int) -> list[Any]:
        return [
            to_array(crop_and_resize(image, view.size, view.crop, stream(0, "crop", 0, position, number)))
            for number, view in enumerate(self.views)
        ]


def measure(folder: Path, names: Sequence[str], size: int, rounds: int) -> dict[str, list[float]]:
    """Returns images per second of CPU time of each way, one value per round."""
    view = ViewConfig(size=size)
    views, paths = [view, view], [str(folder / name) for name in names]
    raw = [Path(path).read_bytes() for path in paths]
    loader = FileSplit(folder, tuple(names), None, 3, 1).train_loader(BATCH, views, seed=0)
    augment, generator = Augment(views, MEAN, STD), torch.Generator().manual_seed(0)
    before: DataLoader[Any] = DataLoader(
        _Before(paths, views),  # type: ignore[arg-type]
        batch_size=None,
        sampler=torch.split(torch.arange(len(names)), BATCH),
        num_workers=1,
        collate_fn=lambda batch: batch,
    )
    lightly: DataLoader[Any] = DataLoader(
        LightlyDataset(str(folder), transform=SimSiamTransform(input_size=size)),  # each file once
        batch_size=BATCH,
        collate_fn=MultiViewCollate(),
        sampler=[number % len(set(names)) for number in range(len(names) // SLOWER)],
        num_workers=1,
    )
    ways: dict[str, Callable[[], int]] = {
        "decode, Pillow": lambda: _drained(read_image(path, 3) for path in paths),
        "decode, torchvision": lambda: _drained(decode_photo(data, 3) for data in raw),
        "crops, before": lambda: _drained(before),
        "crops, now": lambda: _drained(loader),
        "views, ssl-zoo": lambda: _drained(augment(batch.images, generator) for batch in loader),
        "views, lightly": lambda: _drained(lightly),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds + 1):
        for way, run in ways.items():
            start = sum(os.times()[:4])
            run()
            count = len(names) // (SLOWER if way == "views, lightly" else 1)
            rates[way].append(count / (sum(os.times()[:4]) - start))
    return {way: values[1:] for way, values in rates.items()}


class Gap(dict[str, float]):
    """Difference of the crops from Pillow's, in gray levels."""


def gap_to_pillow(folder: Path, names: Sequence[str], size: int) -> Gap:
    """Returns the greatest and the mean difference of the views from Pillow's, and the fraction of values above 1."""
    view = ViewConfig(size=size)
    before = _Before([str(folder / name) for name in names], [view, view])
    loader = FileSplit(folder, tuple(names), None, 3, 0).train_loader(
        min(BATCH, len(names)), [view] * 2, seed=0
    )
    gaps = [
        (ours.int() - theirs.int()).abs()
        for batch in loader
        for ours, theirs in zip(batch.images, before[batch.index], strict=True)
    ]
    together = torch.cat([gap.flatten() for gap in gaps])
    return Gap(
        greatest=int(together.max()),
        mean=float(together.float().mean()),
        above_1=float((together > 1).float().mean()),
    )


def _drained(batches: Any) -> int:
    return sum(1 for _ in batches)


def table(rates: dict[str, list[float]], kilobytes: float, gap: Gap) -> str:
    """Returns the figures as Markdown."""
    middle = {way: statistics.median(values) for way, values in rates.items()}
    lines = ["| way | images/s of CPU time: median (least..most) |", "|---|---|"]
    lines += [f"| {way} | {middle[way]:,.0f} ({min(v):,.0f}..{max(v):,.0f}) |" for way, v in rates.items()]
    pairs = (
        ("crops, now", "crops, before"),
        ("crops, now", "views, lightly"),
        ("views, ssl-zoo", "views, lightly"),
    )
    lines += ["", *(f"- {a} / {b}: {_ratio(rates[a], rates[b])}" for a, b in pairs)]
    lines += [
        f"- from Pillow's pixels: at most {gap['greatest']:.0f}, {gap['mean']:.3f} on average; more than 1 in "
        f"{gap['above_1']:.1e} of the values",
        f"- {kilobytes:.0f} kB a file",
    ]
    return "\n".join(lines) + "\n"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f}..{max(each):.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="of small images, for the mosaics")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()  # as `ssl-zoo train` does
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_photos(folder, FILES, options.folder)
        kilobytes = statistics.mean((folder / photo).stat().st_size for photo in files) / 1000
        names = [files[number % FILES] for number in range(options.images)]
        rates = measure(folder, names, options.size, options.rounds)
        gap = gap_to_pillow(folder, names[:256], options.size)
    sys.stdout.write(table(rates, kilobytes, gap))
    if options.json:
        figures = {"images per second": rates, "kB": kilobytes, "difference": gap, "size": options.size}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
