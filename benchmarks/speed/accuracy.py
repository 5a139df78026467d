"""Does speed cost accuracy? SimSiam on CIFAR-10 images, ssl-zoo's fast path compared with a plain one, seed by seed.

    python -m ssl_zoo.benchmarks.speed.accuracy OUT --train FOLDER/train --test FOLDER/test [--write docs]

fast   as `ssl-zoo train` does it: batched augmentation, `precision=auto`, channels_last
plain  float32, contiguous, and torchvision's transforms on one PIL image at a time

Both train `experiment=cifar10/simsiam` for 5 epochs on a fixed 10,000 of the training images, batch 256. Nothing is
measured while they train; afterwards the same code measures both in float32 on the same images. Finished runs are not
repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import ssl_zoo
from ssl_zoo.build import hardware_for
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.run_dir.checkpoints import LAST
from ssl_zoo.training.measure import Evaluator

from ..compare_runs import events
from ..evaluation import mean_std
from .torchvision_views import PlainAugment

Run = dict[str, Any]

PLAIN = ["precision=fp32", "trainer.channels_last=false"]
PATHS: dict[str, list[str]] = {"fast": [], "plain": PLAIN}


def run_overrides(path: str, seed: int, train: Path, run_dir: Path, threads: int) -> list[str]:
    """Returns the overrides of a run. It has no test images, so only the collapse diagnostics are measured."""
    return [
        "experiment=cifar10/simsiam", "data=imagefolder", f"data.train={train}", "data.limit=10000", "epochs=5",
        "batch_size=256", "trainer.log_every_steps=1", "trainer.progress=false", f"trainer.threads={threads}",
        f"seed={seed}", f"run_dir={run_dir}", *PATHS[path],
    ]  # fmt: skip


def main() -> None:
    """Runs what is missing and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the run directories")
    parser.add_argument("--train", type=Path, required=True, help="folder with a sub-folder per class")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--labelled", type=int, default=10000, help="size of the labelled training set")
    parser.add_argument(
        "--test-images", type=int, default=10000, help="number, evenly spread over the classes"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", type=Path, help="folder that gets results/speed-accuracy.md and a picture")
    parser.add_argument("--only", choices=PATHS, help="train this path and write nothing")
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        _train(*options.one)
        return
    paths = [options.only] if options.only else list(PATHS)
    with ThreadPoolExecutor(options.workers) as pool:
        tasks = [pool.submit(_run, options, path, seed) for path in paths for seed in range(options.seeds)]
        for task in tasks:
            task.result()
    if not options.only:
        _report(options)


def _folder(options: argparse.Namespace, path: str, seed: int) -> Path:
    folder: Path = options.out / f"{path}-s{seed}"
    return folder


def _run(options: argparse.Namespace, path: str, seed: int) -> None:
    folder = _folder(options, path, seed)
    if (folder / "result.json").is_file():
        return
    chosen = run_overrides(path, seed, options.train, folder, options.threads)
    command = [sys.executable, "-m", "ssl_zoo.benchmarks.speed.accuracy", str(options.out), "--train", "-"]
    subprocess.run([*command, "--test", "-", "--one", path, *chosen], check=True)


def _train(path: str, *chosen: str) -> None:
    if path == "fast":
        ssl_zoo.train(chosen)
        return
    with patch("ssl_zoo.training.fit.Augment", PlainAugment):
        ssl_zoo.train(chosen)


def _score(options: argparse.Namespace, path: str, seed: int) -> Run:
    """Returns the result of a run, with kNN and probe of its last weights."""
    folder = _folder(options, path, seed)
    kept = folder / "scores.json"
    last = folder / "checkpoints" / LAST
    if not kept.is_file() or kept.stat().st_mtime < last.stat().st_mtime:
        chosen = run_overrides("fast", seed, options.train, folder, options.threads)
        chosen += [f"data.test={options.test}", f"monitor.labelled_samples={options.labelled}"]
        config = compose(chosen)
        data = load_data(config.data)
        assert data.test is not None
        spread_out = torch.linspace(0, len(data.test) - 1, min(options.test_images, len(data.test))).long()
        data = replace(data, test=data.test.select(spread_out))  # they are sorted by class
        method = ssl_zoo.build_method(chosen)
        saved = torch.load(last, weights_only=True)["state_dict"]
        method.load_state_dict({name.removeprefix("method."): tensor for name, tensor in saved.items()})
        scores = Evaluator(config, data, hardware_for(config)).measure(method).scores
        assert scores.probe is not None
        kept.write_text(json.dumps({"knn": scores.knn_top1, "linear": scores.probe.mean}), encoding="utf-8")
    result: Run = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {**result, **json.loads(kept.read_text(encoding="utf-8")), "losses": _losses(folder)}


def _losses(folder: Path) -> list[float]:
    """The loss of each step."""
    shown = events(folder / "tensorboard")
    return [float(value) for (tag, _), value in shown.items() if tag == "step/loss"]


HEADER = """# Does speed cost accuracy?

SimSiam on CIFAR-10 images, 5 epochs on 10,000 of them, batch 256: ssl-zoo's fast path (batched augmentation, {fast},
channels_last) compared with a plain one (float32, contiguous, torchvision's transforms on one PIL image at a time).
Measured by the same code, in float32, after the last epoch: weighted kNN and a linear probe with 10 labels a class,
drawn from {labelled:,} training images, on {test:,} test images. {threads} CPU thread(s) a run. Made by

    python -m ssl_zoo.benchmarks.speed.accuracy OUT --train FOLDER/train --test FOLDER/test \\
        --labelled {labelled} --test-images {test} --write docs

with torch {torch}, at commit {commits}.

| path | seeds | kNN (%) | linear probe (%) | loss | output std ratio | training, seconds |
|---|---|---|---|---|---|---|
"""


def _report(options: argparse.Namespace) -> None:
    runs = {path: [_score(options, path, seed) for seed in range(options.seeds)] for path in PATHS}
    every = [run for group in runs.values() for run in group]
    text = HEADER.format(
        fast=json.loads((_folder(options, "fast", 0) / "environment.json").read_text(encoding="utf-8"))[
            "precision"
        ],
        threads=options.threads,
        labelled=options.labelled,
        test=options.test_images,
        torch=every[0]["versions"]["torch"],
        commits=", ".join(dict.fromkeys(f"`{str(run['git_commit'])[:12]}`" for run in every)),
    )
    for path, group in runs.items():
        cells = [path, ", ".join(str(run["seed"]) for run in group)]
        for key, unit, digits in (
            ("knn", 100, 1), ("linear", 100, 1), ("loss", 1, 4), ("output_std_ratio", 1, 3), ("train_seconds", 1, 0)
        ):  # fmt: skip
            cells.append(mean_std([unit * run[key] for run in group], digits))
        text += f"| {' | '.join(cells)} |\n"
    text += "\nFast minus plain, seed by seed:"
    for key in ("knn", "linear"):
        pairs = zip(runs["fast"], runs["plain"], strict=True)
        text += f" {key} {mean_std([100 * (fast[key] - plain[key]) for fast, plain in pairs], 1)};"
    text = text.removesuffix(";") + ".\n\n![Loss of each step, both paths](../images/speed-accuracy.png)\n"
    if options.write is None:
        sys.stdout.write(text)
        return
    (options.write / "results" / "speed-accuracy.md").write_text(text, encoding="utf-8")
    _picture(options.write / "images" / "speed-accuracy.png", runs)


def _picture(path: Path, runs: dict[str, list[Run]]) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, group), colour in zip(runs.items(), ("tab:blue", "tab:orange"), strict=True):
        for number, run in enumerate(group):
            label = f"{name}, {len(group)} seeds" if number == 0 else None
            axes.plot(
                range(1, len(run["losses"]) + 1), run["losses"], color=colour, lw=1, alpha=0.7, label=label
            )
    axes.set(
        xlabel="step", ylabel="loss (negative cosine similarity)", title="SimSiam on 10,000 CIFAR-10 images"
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
