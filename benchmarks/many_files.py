"""Time and memory of starting on a folder of very many files.

    python -m ssl_zoo.benchmarks.many_files OUT [--images 10000 100000 1000000] [--rounds 3] [--other CHECKOUT]

OUT, new or empty, gets 512 small JPEGs and, for each number of images, class folders with hard links to them, which
take no space; all is removed in the end. The headers are therefore read from the page cache, as on a warm machine: a
disk or a network adds its own time per file to the first start.

Each measurement is a process that imports ssl_zoo and loads the folder, first with nothing kept, then once more. Its
memory is what the folder adds to the peak of its resident memory, with the private pages of its worker processes; that
of the imports, most of it torch's, is given beside it. `--other` is a checkout of another version, measured in turn.
Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .speed.memory import group_memory

__all__ = ["Start", "link_folder", "main", "measure"]

DRAWN = 512  # JPEGs
LONG_AGO = 1_500_000_000  # seconds: a folder that changed lately is not kept
PAUSE = 0.02  # seconds between two readings of the memory
CODE = """
import json, os, sys, time
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import load_data
from ssl_zoo.data import imagefolder
def peak():
    status = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
imports, began, started = peak(), sum(os.times()[:4]), time.perf_counter()
data = load_data(DataConfig(name="folder", source="imagefolder", train=sys.argv[1], root=sys.argv[2], workers=2))
seconds = time.perf_counter() - started
print(json.dumps([seconds, sum(os.times()[:4]) - began, imports, peak()]))
"""


class Start(NamedTuple):
    """One start."""

    seconds: float
    cpu: float  # seconds of all its processes
    imports: float  # MiB, before the folder is looked at
    peak: float  # MiB, once it is loaded
    workers: float  # MiB, private pages of the worker processes


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the images, new or empty")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--other", type=Path, help="checkout of another version")
    options = parser.parse_args()
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        parser.error(f"OUT must be new or empty; '{out}' holds files; name another folder")
    starts: defaultdict[tuple[str, int], list[Start]] = defaultdict(list)
    try:
        for images in options.images:
            folder = link_folder(out, images)
            for repetition in range(options.rounds):
                for name, start in _starts(folder, out / f"root-{images}-{repetition}", options.other):
                    print(f"{name}, {images} images: {start}", file=sys.stderr, flush=True)
                    starts[name, images].append(start)
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(out)
    print("\n".join(_table(starts)))
    return 0


def link_folder(out: Path, images: int, classes: int = 1000, drawn: int = DRAWN) -> Path:
    """Returns a folder of that many hard links to a few drawn JPEGs, of 100 to 180 pixels a side, in class folders."""
    files = [_draw(out / "drawn" / f"{number}.jpg", number) for number in range(drawn)]
    folder, classes = out / f"images-{images}", min(classes, max(2, images // 10))
    for number in range(classes):
        (folder / f"n{number:08d}").mkdir(parents=True)
    for number in range(images):
        name = f"n{number % classes:08d}"
        os.link(files[number % drawn], f"{folder}/{name}/{name}_{number}.jpg")
    for path in (folder, *folder.iterdir()):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


def measure(folder: Path, root: Path, checkout: Path | None = None) -> Start:
    """Starts a process that loads a folder.

    Args:
        folder: of the images.
        root: where scans are kept.
        checkout: of the version that is measured; None: this one.

    Raises:
        RuntimeError: it failed, or there is no /proc.
    """
    environment = (
        dict(os.environ) if checkout is None else {**os.environ, "PYTHONPATH": str(checkout.absolute())}
    )
    command = [sys.executable, "-c", CODE, str(folder), str(root)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
        cwd=folder,  # where no other version lies
    )
    workers = 0.0
    while process.poll() is None:
        memory = group_memory(process.pid)
        if memory is None:
            raise RuntimeError("memory is measured on Linux alone")
        workers = max(workers, memory.workers)
        time.sleep(PAUSE)
    printed, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"loading '{folder}' ended with status {process.returncode}\n{errors[-3000:]}")
    seconds, cpu, imports, most = json.loads(printed.splitlines()[-1])
    return Start(seconds, cpu, imports, most, workers)


def _starts(folder: Path, root: Path, other: Path | None) -> Iterator[tuple[str, Start]]:
    if other is not None:
        yield "other", measure(folder, root / "other", other)
    yield "first", measure(folder, root)
    yield "second", measure(folder, root)


def _draw(file: Path, seed: int) -> Path:
    """Draws a smooth picture, which takes some kilobytes as a photo of its size does."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        size = (100 + seed % 60, 100 + 7 * seed % 80)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, quality=85)
    return file


def _table(starts: dict[tuple[str, int], list[Start]]) -> Iterator[str]:
    yield "| images | start | s | CPU s | more than imports, MiB | workers, MiB | imports, MiB |"
    yield "|---|---|---|---|---|---|---|"
    for (name, images), each in starts.items():
        values = (
            [start.seconds for start in each],
            [start.cpu for start in each],
            [start.peak - start.imports for start in each],
            [start.workers for start in each],
            [start.imports for start in each],
        )
        yield f"| {images:,} | {name} | {' | '.join(map(_spread, values))} |"


def _spread(values: Sequence[float]) -> str:
    """Returns the median, with the least and the most of several."""
    least, middle, most = (f"{value:.3g}" for value in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({least} to {most})"


if __name__ == "__main__":
    sys.exit(main())
