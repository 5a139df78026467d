"""The figures of docs/results/digits.md: five methods and the methodology swaps on the embedded digits.

    python -m ssl_zoo.benchmarks.digits runs/digits [--write docs]

Each row and seed is one `ssl-zoo train` in its own process with one thread, as many at a time as there are cores.
Rows that are done already are not run again. `--write` puts the table and the picture there.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Run = dict[str, Any]

METHODS = {name: [f"method={name}"] for name in ("simsiam", "byol", "simclr", "moco", "swav")}
SWAPS = {
    "SimSiam without stop-gradient": ["method=simsiam", "method.stop_gradient=false"],
    "SimSiam without predictor": ["method=simsiam", "method.predictor.kind=identity"],
    "SimSiam at a higher rate": ["method=simsiam", "optimizer.lr=2.4"],
    "SimSiam without predictor at a higher rate": [
        "method=simsiam",
        "method.predictor.kind=identity",
        "optimizer.lr=2.4",
    ],
    "SimSiam, predictor fixed at random": ["method=simsiam", "method.predictor.trainable=false"],
    "SimCLR with predictor": ["method=simclr", "method.predictor.kind=mlp"],
    "SimCLR with predictor and stop-gradient": [
        "method=simclr",
        "method.predictor.kind=mlp",
        "method.stop_gradient=true",
    ],
    "BYOL without momentum encoder": ["method=byol", "method.momentum_encoder.enabled=false"],
    "SwAV without stop-gradient": ["method=swav", "method.stop_gradient=false"],
    "SimSiam, asymmetric": ["method=simsiam", "method.symmetric=false"],
    "SimSiam, asymmetric, two pairs": [
        "method=simsiam",
        "method.symmetric=false",
        "method.pairs_per_image=2",
    ],
    "SimSiam, 10 steps an alternation": ["method=simsiam", "method.alternation_steps=10"],
    "SimSiam, an epoch an alternation": ["method=simsiam", "method.alternation_steps=epoch"],
    "SimSiam, moving average for the predictor": [
        "method=simsiam",
        "method.predictor.kind=identity",
        "method.assignment=moving_average",
    ],
    "SimSiam, a bias as predictor": ["method=simsiam", "method.predictor.kind=bias"],
    "MoCo with a memory bank": [
        "method=moco",
        "method.negatives=memory_bank",
        "method.assignment=memory",
        "method.memory.negatives=1024",
        "method.memory.decay=0.5",
        "method.momentum_encoder.enabled=false",
    ],
}


def main() -> None:
    """Runs what is missing and prints or writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the run directories")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--swap-seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="folder that gets results/digits.md and images/digits.png")
    options = parser.parse_args()
    rows = {**METHODS, **SWAPS}
    seeds = {name: options.seeds if name in METHODS else options.swap_seeds for name in rows}
    tasks = [(name, seed) for name in rows for seed in range(seeds[name])]
    with ThreadPoolExecutor(options.workers) as pool:
        done = pool.map(
            lambda task: _run(options.out, task[0], rows[task[0]], task[1], options.threads), tasks
        )
    runs: dict[str, list[Run]] = {name: [] for name in rows}
    for (name, _), run in zip(tasks, done, strict=True):
        runs[name].append(run)
    report = _report(runs, options.threads, options.workers)
    if options.write is None:
        sys.stdout.write(report)
        return
    for folder in ("results", "images"):
        (options.write / folder).mkdir(parents=True, exist_ok=True)
    (options.write / "results" / "digits.md").write_text(report)
    _picture(options.write / "images" / "digits.png", runs)


def _run(out: Path, name: str, overrides: list[str], seed: int, threads: int) -> Run:
    folder = out / f"{name.lower().replace(',', '').replace(' ', '-')}-s{seed}"
    if not (folder / "result.json").is_file():
        command = [
            sys.executable,
            "-m",
            "ssl_zoo",
            "train",
            *overrides,
            f"seed={seed}",
            f"trainer.threads={threads}",
        ]
        started = time.perf_counter()
        subprocess.run([*command, "monitor.every=2", f"run_dir={folder}"], check=True)
        (folder / "wall_seconds").write_text(str(time.perf_counter() - started))
    result: Run = json.loads((folder / "result.json").read_text())
    with (folder / "metrics.csv").open() as file:
        result["rows"] = list(csv.DictReader(file))
    result["wall_seconds"] = float((folder / "wall_seconds").read_text())
    return result


HEADER = """# Digits

Embedded data, {threads} CPU thread(s) a run, the last epoch's figures; mean ± standard deviation over the seeds.
Made by

    python -m ssl_zoo.benchmarks.digits runs/digits --write docs

with torch {torch} at commit {commits} (rows done by an earlier commit were not run again). A row alone, for seed 0:
`ssl-zoo train WORDS trainer.threads={threads} monitor.every=2`.

- Linear probe: {linear}.
- kNN: {knn}.
- Accuracies are on the 360 test images, in percent. Raw pixels reach **{pixels_linear}** by the probe and {pixels_knn}
  by kNN.
- The recipes were [tuned](digits-tuning.md) on a fifth of the training images, never on the test images.

| | words | seeds | linear probe | untrained | kNN | untrained | std ratio | effective rank | loss | verdict | seconds |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""

FOOTER = """
Seconds: the whole command, with imports, baselines and a measurement after every second epoch; {workers} runs at a
time on a shared machine of {cores} cores.

What these figures say beside the papers': [digits-reading.md](digits-reading.md).

![Loss, output std ratio and kNN of SimSiam with and without stop-gradient](../images/digits.png)
"""


def _report(runs: dict[str, list[Run]], threads: int, workers: int) -> str:
    first = runs["simsiam"][0]
    commits = dict.fromkeys(str(run["git_commit"])[:12] for group in runs.values() for run in group)
    header = HEADER.format(
        threads=threads,
        commits=", ".join(f"`{commit}`" for commit in commits),
        torch=first["versions"]["torch"],
        linear=first["linear_protocol"],
        knn=first["knn_protocol"],
        pixels_linear=_percent([first["baselines"]["pixels_linear_top1"]]),
        pixels_knn=_percent([first["baselines"]["pixels_knn_top1"]]),
    )
    rows = [_row(name, overrides, runs[name]) for name, overrides in {**METHODS, **SWAPS}.items()]
    return header + "\n".join(rows) + "\n" + FOOTER.format(workers=workers, cores=os.cpu_count())


def _row(name: str, overrides: list[str], group: list[Run]) -> str:
    verdicts = [run["verdict"] for run in group]
    untrained = {
        probe: _percent([run["baselines"][f"random_encoder_{probe}_top1"] for run in group])
        for probe in ("linear", "knn")
    }
    cells = (
        name,
        f"`{' '.join(overrides)}`",
        str(len(group)),
        f"**{_percent([run['linear_top1'] for run in group])}**",
        untrained["linear"],
        _percent([run["knn_top1"] for run in group]),
        untrained["knn"],
        spread([run["output_std_ratio"] for run in group], 3),
        spread([run["effective_rank"] for run in group], 0),
        spread([run["loss"] for run in group], 2),
        ", ".join(f"{verdicts.count(verdict)} × {verdict}" for verdict in dict.fromkeys(verdicts)),
        f"{statistics.mean(run['wall_seconds'] for run in group):.0f}",
    )
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float | None], digits: int) -> str:
    """Mean ± standard deviation of the values that there are."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    deviation = f" ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.{digits}f}{deviation}"


def _percent(values: list[float | None]) -> str:
    return spread([None if value is None else 100 * value for value in values], 1)


def _picture(path: Path, runs: dict[str, list[Run]]) -> None:
    """SimSiam's Figure 2 on digits: with and without stop-gradient, all seeds."""
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    rows = (
        ("simsiam", "with stop-gradient", "#2563eb"),
        ("SimSiam without stop-gradient", "without", "#dc2626"),
    )
    panels = (
        ("loss", "training loss"),
        ("output_std_ratio", "std of z/|z|, times sqrt(d)"),
        ("knn_top1", "kNN top-1"),
    )
    for axis, (column, title) in zip(axes, panels, strict=True):
        for name, label, colour in rows:
            for seed, run in enumerate(runs[name]):
                points = [(int(row["epoch"]), float(row[column])) for row in run["rows"] if row[column]]
                axis.plot(
                    *zip(*points, strict=True), color=colour, label=label if seed == 0 else None, alpha=0.8
                )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)
    axes[1].set_ylim(0, 1.08)
    axes[2].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
