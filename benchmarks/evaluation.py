"""The table of docs/results/evaluation.md: protocols on trained and random encoders, with the time each takes.

    python -m ssl_zoo.benchmarks.evaluation OUT [--train FOLDER --test FOLDER] [--seeds 3] [--write docs]

Digits are embedded; the folders hold CIFAR-10 as JPEG files, a sub-folder per class, of which 5,000 training images and
all test images are used. Finished runs and evaluations are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Record = dict[str, Any]

PROTOCOLS = ("knn", "few_labels", "linear_cached", "finetune", "finetune_10percent")
CIFAR = (  # SimSiam's setting for CIFAR-10, with a backbone that a CPU trains in minutes
    "experiment=cifar10/simclr", "data=imagefolder", "data.limit=5000", "backbone.name=test_resnet",
    "batch_size=128", "epochs=40", "optimizer.lr=0.12", "monitor.every_epochs=20", "monitor.labelled_samples=5000",
)  # fmt: skip


def main() -> None:
    """Trains and evaluates what is missing, and prints or writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the run directories")
    parser.add_argument("--train", type=Path, help="CIFAR-10's training images, as files")
    parser.add_argument("--test", type=Path, help="its test images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="folder that gets results/evaluation.md")
    options = parser.parse_args()
    settings = {"digits": ["method=simsiam"]}
    if options.train and options.test:
        settings["cifar"] = [*CIFAR, f"data.train={options.train}", f"data.test={options.test}"]
    tasks = [(name, seed) for name in settings for seed in range(options.seeds)]

    def do(task: tuple[str, int]) -> list[Record]:
        name, seed = task
        run = options.out / f"{name}-s{seed}"
        return _records(run, [*settings[name], f"seed={seed}"], options.threads)

    with ThreadPoolExecutor(options.workers) as pool:
        records = dict(zip(tasks, pool.map(do, tasks), strict=True))
    report = _report(records, options.threads, options.workers)
    if options.write is None:
        sys.stdout.write(report)
        return
    (options.write / "results").mkdir(parents=True, exist_ok=True)
    (options.write / "results" / "evaluation.md").write_text(report, encoding="utf-8")


def _records(run: Path, overrides: Sequence[str], threads: int) -> list[Record]:
    """Trains a run unless it is done, and evaluates its trained and its random encoder."""
    command = [sys.executable, "-m", "ssl_zoo"]
    if not (run / "result.json").is_file():
        subprocess.run(
            [*command, "train", *overrides, f"trainer.threads={threads}", f"run_dir={run}", "resume=auto"],
            check=True,
        )
    records = []
    for weights in ("trained", "random"):
        for protocol in PROTOCOLS:  # each by itself, so that its seconds include its features
            folder = run / "evaluation" / f"{protocol}-{weights}"
            if not list(folder.glob("eval-*.json")):
                chosen = [f"run={run}", f"protocol={protocol}", f"weights={weights}"]
                subprocess.run(
                    [*command, "eval", *chosen, f"threads={threads}", f"out={folder}", "progress=false"],
                    check=True,
                )
            [file] = folder.glob("eval-*.json")
            records.append(json.loads(file.read_text(encoding="utf-8")))
    return records


HEADER = """# Protocols

Results of `ssl-zoo eval` for a trained encoder and for the same encoder before its training, on the test images, last
epoch; mean ± standard deviation over {seeds} runs of different seeds. Made by

    python -m ssl_zoo.benchmarks.evaluation runs/evaluation --train FOLDER --test FOLDER --write docs

with torch {torch} at commit {commits}, {threads} CPU thread(s) an evaluation, {workers} at a time on a shared machine
of {cores} cores. Seconds are those of the protocol with its features, without imports and without loading the images.
"""


def _report(records: dict[tuple[str, int], list[Record]], threads: int, workers: int) -> str:
    first = next(iter(records.values()))[0]
    commits = dict.fromkeys(str(record["git_commit"])[:12] for group in records.values() for record in group)
    parts = [
        HEADER.format(
            seeds=len({seed for _, seed in records}),
            torch=first["versions"]["torch"],
            commits=", ".join(f"`{commit}`" for commit in commits),
            threads=threads,
            workers=workers,
            cores=os.cpu_count(),
        )
    ]
    for name in dict.fromkeys(name for name, _ in records):
        groups = [group for (data, _), group in records.items() if data == name]
        parts.append(_table(name, groups))
    return "\n".join(parts)


def _table(name: str, groups: list[list[Record]]) -> str:
    data, encoder = groups[0][0]["data"], groups[0][0]["encoder"]
    head = (
        f"\n## {name.capitalize()}: {encoder['method']}, {encoder['backbone']}, "
        f"{data['train_images']:,} training images, {data['test_images']:,} for testing\n\n"
        "| protocol | figure | trained | random | seconds, trained | random |\n|---|---|---|---|---|---|\n"
    )
    lines = []
    for protocol in PROTOCOLS:
        cells = {
            weights: [_find(group, protocol, weights) for group in groups]
            for weights in ("trained", "random")
        }
        for row, label in enumerate(_labels(cells["trained"][0])):
            figures = {
                weights: mean_std([_percent(_figure(record, row)) for record in group], 1)
                for weights, group in cells.items()
            }
            seconds = [
                f"{statistics.mean(record['seconds'] for record in group):.1f}" if row == 0 else ""
                for group in cells.values()
            ]
            lines.append(
                f"| {protocol if row == 0 else ''} | {label} | {figures['trained']} | {figures['random']} | "
                f"{seconds[0]} | {seconds[1]} |"
            )
    overrides = [
        f"- `{protocol}`: {_find(groups[0], protocol, 'trained')['in_words']}." for protocol in PROTOCOLS
    ]
    return head + "\n".join(lines) + "\n\n" + "\n".join(overrides) + "\n"


def _find(group: list[Record], protocol: str, weights: str) -> Record:
    return next(
        record
        for record in group
        if record["protocol"] == protocol and record["encoder"]["weights"] == weights
    )


def _figure(record: Record, row: int) -> float | None:
    """Returns a row's accuracy; if rows differ in their draw alone, the mean."""
    value: float | None = record["top1"] if "draw" in record["rows"][0] else record["rows"][row]["top1"]
    return value


def _labels(record: Record) -> list[str]:
    """Returns a label of each row: the settings in which rows differ; all draws are one row."""
    rows = record["rows"]
    if "draw" in rows[0]:
        return [f"mean over {len(rows)} draws" if len(rows) > 1 else ""]
    differing = [
        key
        for key in rows[0]
        if not key.startswith(("top", "seconds")) and len({row[key] for row in rows}) > 1
    ]
    return [
        ", ".join(
            f"{key} {row[key]:g}" if isinstance(row[key], float) else f"{key} {row[key]}" for key in differing
        )
        for row in rows
    ]


def mean_std(values: Sequence[float | None], digits: int) -> str:
    """Mean ± standard deviation of the values that are known."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    deviation = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.{digits}f}{deviation}"


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


if __name__ == "__main__":
    main()
