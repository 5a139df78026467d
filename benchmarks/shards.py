"""Images from shards beside the same images from files, and what an index of many small images takes.

    python -m ssl_zoo.benchmarks.shards OUT --images FOLDER [--limit 5000] [--passes 5] [--samples 200000]

One run writes the shards, reads both ways in turn, each pass an epoch of batches of two views in one worker process,
and then makes shards of tiny samples and starts on them twice: the first time they are indexed. Whoever else uses the
machine takes part in the times; the rates are compared pass by pass. Memory needs Linux.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["main"]

VIEW = 32  # pixels
BATCH = 256
START = """
import sys, time
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
import ssl_zoo.data.webdataset

def memory():  # KiB that this process alone has, and those of mapped files
    rows = dict(line.split(":") for line in open("/proc/self/status"))
    return [int(rows[key].split()[0]) for key in ("RssAnon", "RssFile")]

config = compose(sys.argv[1:]).data
before, begun = memory(), time.perf_counter()
data = load_data(config)
print(time.perf_counter() - begun, *(b - a for a, b in zip(before, memory())), len(data.train))
"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the shards, new or empty")
    parser.add_argument("--images", type=Path, required=True, help="class folders")
    parser.add_argument("--limit", type=int, default=5000, help="images of them")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--samples", type=int, default=200_000, help="tiny samples that are indexed")
    options = parser.parse_args()
    rates = _rates(options)
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):.0f} images/s ({min(values):.0f} to {max(values):.0f})")
    ratios = [shards / files for shards, files in zip(rates["shards"], rates["files"], strict=True)]
    print(f"shards / files: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    _index(options)


def _rates(options: argparse.Namespace) -> dict[str, list[float]]:
    """Returns images per second of each pass, files and shards in turn."""
    from ssl_zoo.config.compose import compose
    from ssl_zoo.config.schema import ViewConfig
    from ssl_zoo.data import load_data
    from ssl_zoo.sharding.run import write_shards

    limit, cache = f"data.limit={options.limit}", f"data.root={options.out}/cache"
    begun = time.perf_counter()
    shards = write_shards(
        [f"data.train={options.images}", limit, cache, f"out={options.out}/shards", "shard_mb=1"], silent=True
    )
    seconds = time.perf_counter() - begun
    count = len(list(shards.glob("*.tar")))
    print(f"written: {options.limit} images in {count} shards, {seconds:.1f} s with scan and checks")
    sources: dict[str, Any] = {
        "files": ["data=imagefolder", f"data.train={options.images}", limit],
        "shards": ["data=webdataset", f"data.train={shards}"],
    }
    views = [ViewConfig(size=VIEW)] * 2
    loaders = {
        name: load_data(
            compose([*overrides, "data.cache_mb=0", "data.workers=1", cache]).data
        ).train.train_loader(BATCH, views, 0)
        for name, overrides in sources.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(options.passes + 1):
        for name, loader in loaders.items():
            begun = time.perf_counter()
            batches = sum(1 for _ in loader)
            if number:  # in the first pass the disk takes part
                rates[name].append(batches * BATCH / (time.perf_counter() - begun))
    return rates


def _index(options: argparse.Namespace) -> None:
    """Prints what two starts on shards of tiny samples take."""
    folder, cache = options.out / "tiny", options.out / "tiny-cache"
    folder.mkdir()
    with io.BytesIO() as file:
        Image.new("RGB", (8, 8)).save(file, "PNG")
        image = file.getvalue()
    each = max(1, options.samples // 20)
    for shard in range(options.samples // each):
        with tarfile.open(folder / f"{shard:03d}.tar", "w") as tar:
            for number in range(shard * each, (shard + 1) * each):
                for suffix, contents in (("png", image), ("cls", str(number % 100).encode())):
                    member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                    member.size = len(contents)
                    tar.addfile(member, io.BytesIO(contents))
    overrides = ["data=webdataset", f"data.train={folder}", f"data.root={cache}", "data.cache_mb=0"]
    for name in ("first start", "second start"):
        done = subprocess.run(
            [sys.executable, "-c", START, *overrides], capture_output=True, text=True, check=True
        )
        seconds, own, mapped, count = map(float, done.stdout.split())
        memory = f"{own / 1024:.1f} MiB of its own, {mapped / 1024:.1f} MiB of mapped files"
        print(f"{name} on {count:.0f} samples: {seconds:.2f} s, {memory}")
    size = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    print(f"index: {size / options.samples:.1f} bytes a sample")


if __name__ == "__main__":
    main()
