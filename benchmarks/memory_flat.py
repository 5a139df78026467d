"""Memory of `ssl-zoo embed` and of kNN evaluation by the number of images.

    python -m ssl_zoo.benchmarks.memory_flat OUT --train FOLDER [--images 10000 30000 60000] [--rounds 3] [--write docs]

FOLDER holds a folder of images per class; if they are too few, they are linked several times under other names. The
encoder is that of `--run`, or a tiny one that is trained for an epoch first, as its own memory is not of interest. Each
command runs alone, with images read from files (`data.cache_mb=0`). Its memory is the peak of its process plus the
private pages of its worker processes, minus the memory of a process with the same imports alone. It varies by up to
50 MiB from start to start, so each command is measured in several rounds. `OUT/results.json` holds the results. Needs
Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice, product
from pathlib import Path

from ssl_zoo.data.scan import scan_folder

from .memory_page import TESTED, Measured, markdown_page
from .speed.memory import group_memory

__all__ = ["link_images", "main", "peak"]

TRAINED = 640  # images that the tiny encoder is trained on
PAUSE = 0.05  # seconds between two readings of the memory
TRAIN = (
    "method=simsiam", "data=imagefolder", "backbone.name=test_resnet", "augment.size=32", "epochs=1", "batch_size=64",
    "precision=fp32", "method.projector.hidden_dim=64", "method.projector.output_dim=32",
    "method.predictor.hidden_dim=16", "monitor.baselines=false", "trainer.progress=false",
)  # fmt: skip
COMMANDS = {
    "embed, .npy": ("embed", "out=OUT/features-N.npy"),
    "embed, .parquet": ("embed", "out=OUT/features-N.parquet"),
    "eval, kNN": (
        "eval",
        "protocol=knn",
        "data.test=OUT/test",
        "knn.k=[20]",
        "knn.temperature=[0.07]",
        "out=OUT/eval",
    ),
}
IMPORTS = {  # what each command imports
    "embed, .npy": "ssl_zoo.embedding.run",
    "embed, .parquet": "ssl_zoo.embedding.run, pyarrow.parquet",
    "eval, kNN": "ssl_zoo.evaluation.run, ssl_zoo.evaluation.protocols.knn",
}


def main() -> int:
    """Measures, prints the report and may write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for images, runs and results, new or empty")
    parser.add_argument("--train", required=True, help="folder of images, a sub-folder per class")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 30_000, 60_000])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--run", help="run directory of the encoder; none: a tiny one is trained")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, help="folder that gets results/memory.md")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        parser.error(f"OUT must be new or empty; '{out}' holds files; name another folder")
    run = options.run or _train(out, options.train, options.threads)
    results = list(_measure(out, options, run))
    (out / "results.json").write_text(
        json.dumps([dataclasses.asdict(result) for result in results], indent=1), encoding="utf-8"
    )
    text = markdown_page(
        results, _command(options), "the tiny encoder" if options.run is None else "the encoder of `--run`"
    )
    print(text)
    if options.write is not None:
        (options.write / "results" / "memory.md").write_text(text, encoding="utf-8")
    return 0


def _measure(out: Path, options: argparse.Namespace, run: str) -> Iterator[Measured]:
    commands = dict(COMMANDS)
    if importlib.util.find_spec("pyarrow") is None:
        del commands["embed, .parquet"]
    baselines = {name: _imports(IMPORTS[name]) for name in commands}
    link_images(options.train, out / "test", min(TESTED, *options.images))
    for images in options.images:
        link_images(options.train, out / f"images-{images}", images)
    for repetition, images in product(range(options.rounds), options.images):
        folder = out / f"images-{images}"
        common = [
            f"run={run}",
            "data=imagefolder",
            f"data.train={folder}",
            "data.cache_mb=0",
            "progress=false",
        ]
        for name, (verb, *verb_options) in commands.items():
            overrides = [
                override.replace("OUT", str(out)).replace("-N", f"-{images}-{repetition}")
                for override in verb_options
            ]
            command = [
                sys.executable,
                "-m",
                "ssl_zoo",
                verb,
                *common,
                *overrides,
                f"threads={options.threads}",
            ]
            started = time.perf_counter()
            most = peak(command, out / "log.txt") - baselines[name]
            result = Measured(name, images, most, time.perf_counter() - started)
            print(
                f"{name}, {images} images: {result.megabytes:.0f} MiB, {result.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            yield result


def peak(command: Sequence[str], log: Path) -> float:
    """Returns the peak memory of a command with its worker processes, in MiB.

    Raises:
        RuntimeError: the command failed; the message ends with its output.
    """
    most = 0.0
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        while process.poll() is None:
            memory = group_memory(process.pid)
            if memory is None:
                raise RuntimeError("memory is measured on Linux alone")
            most = max(most, memory.peak + memory.workers)
            time.sleep(PAUSE)
    if process.returncode:
        raise RuntimeError(
            f"{shlex.join(command)} ended with status {process.returncode}\n{log.read_text(encoding='utf-8')[-3000:]}"
        )
    return most


def _imports(modules: str) -> float:
    """Returns the peak memory of a process that only imports these modules, in MiB."""
    script = f"import {modules}\nprint(open('/proc/self/status').read())"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return next(int(line.split()[1]) / 1024 for line in printed.splitlines() if line.startswith("VmHWM"))


def link_images(source: str, folder: Path, images: int) -> None:
    """Links `images` files of `source` into a folder under new names, one class after the other."""
    listing = scan_folder("--train", source)
    if listing.classes is None:
        raise SystemExit(f"--train must hold a folder of images per class; '{source}' holds images alone")
    by_class: defaultdict[str, list[Path]] = defaultdict(list)
    for name in listing.images:
        by_class[name.partition("/")[0]].append((listing.root / name).resolve())
    files_of = {name: cycle(files) for name, files in by_class.items()}
    for name in files_of:
        (folder / name).mkdir(parents=True)
    for number, name in zip(count(), islice(cycle(files_of), images), strict=False):
        file = next(files_of[name])
        link = folder / name / f"{number:07d}{file.suffix}"
        try:
            os.link(file, link)
        except OSError:  # another disk, or as many links as a file may have
            link.symlink_to(file)


def _train(out: Path, source: str, threads: int) -> str:
    """Trains the tiny encoder; returns its run directory."""
    link_images(source, out / "trained-on", TRAINED)
    overrides = [
        *TRAIN,
        f"data.train={out / 'trained-on'}",
        f"trainer.threads={threads}",
        f"run_dir={out / 'run'}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ssl_zoo", "train", *overrides], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return str(out / "run")


def _command(options: argparse.Namespace) -> str:
    images = " ".join(map(str, options.images))
    command = f"python -m ssl_zoo.benchmarks.memory_flat OUT --train FOLDER --images {images} --rounds {options.rounds}"
    if options.run is not None:
        command += " --run DIR"
    return command + f" --threads {options.threads} --write docs"


if __name__ == "__main__":
    sys.exit(main())
