"""Images in a Hugging Face data set against the same images as files: images/s, and memory by process.

    python -m ssl_zoo.benchmarks.tables OUT --train FOLDER [--images 10000] [--rows 200000] [--rounds 5] [--workers 0 2]

OUT gets two data sets of FOLDER's files, of `--images` and of `--rows` rows, which repeats files where there are fewer.
Speed: one epoch of the loader that trains, crops of 32 pixels for two views, files and rows taking turns, one
thread a process; both yield the same images, which is checked. On a shared machine look at the processor's seconds.
Memory: the pages that a process has for itself, before and after the data set is opened, and of each worker process in
the course of an epoch. Needs Linux.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import load_data
from ssl_zoo.data.scan import scan_folder

__all__ = ["main"]

BATCH = 256
READ = (10, 100, 200)  # batches after which the memory of workers is read
SETTLED = 3.0  # seconds after which the check of a data set is kept


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for the data sets, new or empty")
    parser.add_argument("--train", required=True, help="folder of images, a sub-folder per class")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    files = _files(options.train)
    few = files[:: max(1, len(files) // options.images)][: options.images]
    folder = options.out / "folder"
    for file in few:
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / file.parent.name / file.name).hardlink_to(file)
    _save(few, options.out / "few")
    for workers in options.workers:
        _compare(folder, options.out / "few", workers, options.rounds)
    _save(itertools.islice(itertools.cycle(files), options.rows), options.out / "many")
    _memory(options.out / "many", max(options.workers))
    return 0


def _files(folder: str) -> list[Path]:
    listing = scan_folder("data.train", folder)
    return [listing.root / name for name in listing.images]


def _save(files: Sequence[Path] | Iterator[Path], out: Path) -> None:
    import datasets

    def rows() -> Iterator[dict[str, Any]]:
        for file in files:
            yield {"image": {"bytes": file.read_bytes(), "path": None}, "label": file.parent.name}

    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    datasets.disable_progress_bars()
    cache = out.with_name(f"{out.name}-cache")
    datasets.Dataset.from_generator(rows, features=kinds, cache_dir=str(cache)).save_to_disk(out)


def _composed(images: Sequence[str], workers: int) -> RunConfig:
    return compose(["method=simsiam", *images, f"data.workers={workers}", "data.cache_mb=0"])


def _compare(folder: Path, table: Path, workers: int, rounds: int) -> None:
    loaders = {}
    for name, images in (
        ("files", ["data=imagefolder", f"data.train='{folder}'"]),
        ("rows", ["data=huggingface", f"data.path='{table}'"]),
    ):
        config = _composed(images, workers)
        loaders[name] = load_data(config.data).train.train_loader(BATCH, config.views, seed=0)
    batches = [next(iter(loader)).images for loader in loaders.values()]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True)), "the same images in the same order"
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
    for number in range(rounds):
        for name in sorted(loaders, reverse=bool(number % 2)):
            loaders[name].set_position(1)
            start, used = time.perf_counter(), _cpu_seconds()
            count = sum(len(batch.index) for batch in loaders[name])
            costs[name].append((count / (time.perf_counter() - start), count / (_cpu_seconds() - used)))
    for what, column in (("images/s", 0), ("per second of the processor", 1)):
        files, rows = ([cost[column] for cost in costs[name]] for name in ("files", "rows"))
        ratios = [b / a for a, b in zip(files, rows, strict=True)]
        print(
            f"{workers} workers, {what}: {statistics.median(files):.0f} of files, {statistics.median(rows):.0f} of "
            f"rows; ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) in {rounds} rounds",
            flush=True,
        )


def _cpu_seconds() -> float:
    """Returns what this process and those that it has waited for have used."""
    return sum(os.times()[:4])


def _memory(table: Path, workers: int) -> None:
    import datasets  # noqa: F401 (its own memory is not the table's)

    time.sleep(SETTLED)
    before = _private("self")
    start = time.perf_counter()
    config = _composed(["data=huggingface", f"data.path='{table}'", f"data.root='{table.parent}'"], workers)
    seconds = [time.perf_counter() - start]
    for _ in range(2):
        start = time.perf_counter()
        train = load_data(config.data).train
        seconds.append(time.perf_counter() - start)
    size = sum(file.stat().st_size for file in table.glob("*.arrow")) / 2**20
    opened, checked, again = seconds
    print(
        f"{len(train)} rows, {size:.0f} MiB of Arrow: opened in {opened:.1f} s, checked in {checked:.1f} s, again in "
        f"{again:.1f} s; {_private('self') - before:.0f} MiB more in the process"
    )
    loader = train.train_loader(BATCH, config.views, seed=0)
    readings = []
    for number, _ in enumerate(itertools.islice(loader, READ[-1] + 1)):
        if number in READ:
            children = [str(child.pid) for child in multiprocessing.active_children()]
            each = " and ".join(f"{_private(child):.0f}" for child in children)
            readings.append(f"{each} after {number * BATCH}")
    print(f"MiB of each worker, by images: {', '.join(readings)}")


def _private(process: str) -> float:
    """Returns the MiB that a process has written and shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
