"""How the memory of `ssl-zoo embed` and of kNN evaluation goes with the number of images.

    python -m ssl_zoo.benchmarks.memory_flat OUT --train FOLDER [--images 10000 30000 60000] [--rounds 3] [--write docs]

FOLDER holds a folder of images per class. Where it has fewer images than asked for they are linked several times, by
other names. The encoder is a tiny one that is trained for an epoch first, or that of `--run`: what is measured is not
the encoder. Each command runs by itself, images read from files (`data.cache_mb=0`). Its memory is the most that was
ever resident in its process, and the private pages of its worker processes besides, less what a process has that only
imported the same. It varies by up to 50 MiB from start to start, so each is measured in several rounds.
`OUT/found.json` holds what was found. Needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice, product
from pathlib import Path

from ssl_zoo.data.scan import scan_folder
from ssl_zoo.runs.environment import git_commit, versions

from .speed.memory import group_memory

__all__ = ["Measured", "link_images", "main", "peak", "report"]

TRAINED = 640  # images that the tiny encoder is trained on
TESTED = 4096  # images that kNN classifies, whatever the number of those it compares them with
PAUSE = 0.05  # seconds between two looks at the memory
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


@dataclass(frozen=True)
class Measured:
    """One command with so many images, in one round."""

    name: str
    images: int
    megabytes: float  # MiB, at most, above what the imports take
    seconds: float


def main() -> int:
    """Measures, prints the report and may write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for all that is made, new or empty")
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
    found = list(_measure(out, options, run))
    (out / "found.json").write_text(json.dumps([dataclasses.asdict(one) for one in found], indent=1))
    text = report(
        found, _command(options), "the tiny encoder" if options.run is None else "the encoder of `--run`"
    )
    print(text)
    if options.write is not None:
        (options.write / "results" / "memory.md").write_text(text)
    return 0


def _measure(out: Path, options: argparse.Namespace, run: str) -> Iterator[Measured]:
    commands = dict(COMMANDS)
    if importlib.util.find_spec("pyarrow") is None:
        del commands["embed, .parquet"]
    baselines = {name: _imports(IMPORTS[name]) for name in commands}
    link_images(options.train, out / "test", min(TESTED, *options.images))
    for images in options.images:
        link_images(options.train, out / f"images-{images}", images)
    for turn, images in product(range(options.rounds), options.images):
        folder = out / f"images-{images}"
        common = [
            f"run={run}",
            "data=imagefolder",
            f"data.train={folder}",
            "data.cache_mb=0",
            "progress=false",
        ]
        for name, (verb, *own) in commands.items():
            overrides = [
                override.replace("OUT", str(out)).replace("-N", f"-{images}-{turn}") for override in own
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
            one = Measured(name, images, most, time.perf_counter() - started)
            print(
                f"{name}, {images} images: {one.megabytes:.0f} MiB, {one.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
            yield one


def peak(command: Sequence[str], log: Path) -> float:
    """The most memory that a command and its worker processes had, in MiB.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
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
            f"{shlex.join(command)} ended with status {process.returncode}\n{log.read_text()[-3000:]}"
        )
    return most


def _imports(modules: str) -> float:
    """The most memory that a process had which only imported these modules, in MiB."""
    script = f"import {modules}\nprint(open('/proc/self/status').read())"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[1]) / 1024 for line in said.splitlines() if line.startswith("VmHWM"))


def link_images(source: str, folder: Path, images: int) -> None:
    """Makes a folder of so many images, classes in turn, by links to those in `source` under new names."""
    listing = scan_folder("--train", source)
    if listing.classes is None:
        raise SystemExit(f"--train must hold a folder of images per class; '{source}' holds images alone")
    by_class: defaultdict[str, list[Path]] = defaultdict(list)
    for name in listing.images:
        by_class[name.partition("/")[0]].append((listing.root / name).resolve())
    turns = {name: cycle(files) for name, files in by_class.items()}
    for name in turns:
        (folder / name).mkdir(parents=True)
    for number, name in zip(count(), islice(cycle(turns), images), strict=False):
        file = next(turns[name])
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


HEADER = """# Memory

The most memory that embedding and kNN evaluation take, in MiB above what the imports take, by the number of images
(of kNN: in the bank; {tested:,} are classified): median (least to most) of {rounds} rounds. Images are read from files.
Made by

    {command}

at commit `{commit}` with {versions}, on {cores} CPU cores, with {encoder}.

| images | {names} |
|---|{lines}|
"""


def report(found: Sequence[Measured], command: str, encoder: str) -> str:
    """The results as a page in Markdown."""
    names = list(dict.fromkeys(one.name for one in found))
    sizes = sorted({one.images for one in found})
    cells: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for one in found:
        cells[one.name, one.images].append(one.megabytes)
    used = versions()
    text = HEADER.format(
        rounds=max(map(len, cells.values())),
        tested=min(TESTED, sizes[0]),
        command=command,
        commit=git_commit(),
        versions=", ".join(f"{name} {used[name]}" for name in ("python", "torch")),
        cores=os.cpu_count(),
        encoder=encoder,
        names=" | ".join(names),
        lines="|".join("---:" for _ in names),
    )
    for size in sizes:
        row = [_cell(cells[name, size]) for name in names]
        text += f"| {size:,} | {' | '.join(row)} |\n"
    if len(sizes) > 1:
        medians = {key: statistics.median(values) for key, values in cells.items()}
        more = [medians[name, sizes[-1]] - medians[name, sizes[0]] for name in names]
        each = [f"{2**20 * grown / (sizes[-1] - sizes[0]):+.0f}" for grown in more]
        text += f"| bytes per further image | {' | '.join(each)} |\n"
    return text


def _cell(megabytes: list[float]) -> str:
    return f"{statistics.median(megabytes):.0f} ({min(megabytes):.0f} to {max(megabytes):.0f})"


def _command(options: argparse.Namespace) -> str:
    images = " ".join(map(str, options.images))
    command = f"python -m ssl_zoo.benchmarks.memory_flat OUT --train FOLDER --images {images} --rounds {options.rounds}"
    if options.run is not None:
        command += " --run DIR"
    return command + f" --threads {options.threads} --write docs"


if __name__ == "__main__":
    sys.exit(main())
