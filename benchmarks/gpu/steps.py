"""Steps, in order, as tasks: their commands, and the figures read from their output."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.config.overrides import write_override

from .processes import CommandTask, Figures

__all__ = [
    "METHODS",
    "Setting",
    "evaluation",
    "large_images",
    "methods",
    "read_run",
    "run",
    "suite",
    "tests",
    "throughput",
]

METHODS = ("simsiam", "byol", "simclr", "moco", "swav")
TOY = (
    "backbone.name=test_resnet", "method.projector.hidden_dim=32", "method.projector.output_dim=16",
    "method.predictor.hidden_dim=16", "method.queue.size=64", "batch_size=16", "monitor.knn.k=5",
    "monitor.probe.draws=2",
)  # fmt: skip
COLOURS = ("data.mean=[0.4914,0.4822,0.4465]", "data.std=[0.2470,0.2435,0.2616]")  # those of data=cifar10
READ = (
    "method", "epochs", "steps", "loss", "knn_top1", "knn_protocol", "linear_top1", "linear_protocol", "verdict",
    "views_per_second", "train_seconds", "peak_memory_mb",
)  # fmt: skip


class Setting(NamedTuple):
    """Setting of all steps."""

    data: Path  # a folder with train/ and test/
    work: Path  # run directories
    out: Path
    tests: Path | None  # the tests for a GPU
    cores: int
    toy: bool = False

    def folder(self, name: str) -> Path:
        """Returns the run directory of a task."""
        return self.work / name.replace(" ", "-")

    def overrides(self, method: str, *more: str, test: bool = True) -> list[str]:
        """Returns the overrides of a run: the experiment's, on the folder of images."""
        return [
            f"experiment=cifar10/{method}",
            "data=imagefolder",
            write_override("data.train", str(self.data / "train")),
            *([write_override("data.test", str(self.data / "test"))] if test else []),
            *COLOURS,
            *(TOY if self.toy else ("batch_size=512",)),
            "trainer.progress=false",
            *more,
        ]


def methods(setting: Setting, limit: float) -> list[CommandTask]:
    """Returns an epoch of each method at full width, in bf16 and in fp32."""
    more = ("epochs=1", "monitor.baselines=false", f"data.workers={max(1, setting.cores // 4)}")
    return [
        run(setting, method, limit, f"precision={precision}", *more, name=f"{method} {precision}")
        for precision in ("bf16", "fp32")
        for method in METHODS
    ]


def tests(setting: Setting, limit: float) -> list[CommandTask]:
    """Returns the tests for a GPU, by path, without the checkout's pytest options, some of which need packages."""
    assert setting.tests is not None
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(setting.tests.parent / "pyproject.toml"),
        "-o",
        "addopts=",
    ]
    command += [
        "-o",
        "filterwarnings=default",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-q",
        "-rfE",
    ]
    command += ["-m", "gpu", str(setting.tests / "gpu"), "-k"]
    parts = {
        "tests of compiling": "compiled",
        "tests": "not compiled",
    }  # at the same time, as compiling takes long
    return [CommandTask(name, [*command, part], limit, _last_line) for name, part in parts.items()]


def throughput(setting: Setting, limit: float) -> CommandTask:
    """Returns ssl-zoo, the bare loop, the compiled one and lightly's way, in turns."""
    file = setting.out / "throughput.json"
    rounds = (
        ("--rounds", "1", "--steps", "1", "--seconds", "0")
        if setting.toy
        else ("--rounds", "3", "--steps", "10")
    )
    command = [
        sys.executable,
        "-m",
        "ssl_zoo.benchmarks.speed.compare",
        *rounds,
        "--together",
        "--json",
        str(file),
    ]
    command += [
        "--contenders",
        "ssl-zoo,bare,lightly" if setting.toy else "ssl-zoo,bare,bare-compiled,lightly",
    ]
    command += setting.overrides("simsiam", f"data.workers={setting.cores}", test=False)
    return CommandTask("throughput", command, limit, lambda printed: _json(file))


def large_images(setting: Setting, limit: float) -> CommandTask:
    """Returns decoding on GPU and CPU, and a ResNet-50 that waits for large images."""
    file = setting.out / "large_images.json"
    command = [sys.executable, "-m", "ssl_zoo.benchmarks.gpu.large_images", "--json", str(file)]
    command += ["--folder", str(setting.data / "train"), "--workers", str(setting.cores)]
    command += ["--toy"] if setting.toy else []
    return CommandTask("large images", command, limit, lambda printed: _json(file))


def run(setting: Setting, method: str, limit: float, *overrides: str, name: str | None = None) -> CommandTask:
    """Returns a run of a method."""
    name = name or method
    folder = setting.folder(name)
    command = [
        sys.executable,
        "-m",
        "ssl_zoo",
        "train",
        *setting.overrides(method, *overrides, f"run_dir={folder}"),
    ]
    return CommandTask(name, command, limit, lambda printed: read_run(folder))


def evaluation(setting: Setting, name: str, limit: float) -> CommandTask:
    """Returns the linear evaluation of a run on all labels."""
    folder = setting.folder(name)
    command = [sys.executable, "-m", "ssl_zoo", "eval", f"run={folder}", "protocol=linear_cached"]
    if setting.toy:
        command += ["linear_cached.epochs=1", "linear_cached.lr=[0.1]", "linear_cached.weight_decay=[0.0]"]
    return CommandTask(f"{name} linear", command, limit, partial(_evaluated, folder))


def suite(setting: Setting, limit: float, epochs: int, at_once: int) -> CommandTask:
    """Returns SimSiam's Figure 2 with two seeds, as one decides nothing."""
    out = setting.work / "figure2"
    command = [
        sys.executable,
        "-m",
        "ssl_zoo",
        "bench",
        "suite=simsiam_figure2",
        "experiments=cifar10",
        "budget=full",
    ]
    command += [
        *setting.overrides("simsiam", f"epochs={epochs}")[1:],
        "seeds=2",
        f"workers={at_once}",
        f"out={out}",
    ]
    return CommandTask(
        "figure 2", command, limit, lambda printed: {"output": "; ".join(printed.splitlines()[1:-1])}
    )


def read_run(folder: Path) -> Figures:
    """Returns the result of a run; of an unfinished one, the last measured row."""
    if (folder / "result.json").is_file():
        result = _json(folder / "result.json")
        return {
            **{key: result[key] for key in READ},
            "precision": _json(folder / "environment.json")["precision"],
        }
    rows = list(csv.DictReader((folder / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    known = [row["knn_top1"] for row in rows if row["knn_top1"]]
    last = {key: float(value) for key, value in rows[-1].items() if value}
    return {**last, "knn_top1": float(known[-1]) if known else None, "unfinished": True}


def _evaluated(folder: Path, printed: str) -> Figures:
    records: Sequence[Path] = sorted(folder.glob("eval-linear_cached-*.json"))
    record = _json(records[-1])
    return {"top1": record["top1"], "in_words": record["in_words"], "seconds": record["seconds"]}


def _last_line(printed: str) -> Figures:
    return {"output": printed.strip().rpartition("\n")[2]}


def _json(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values
