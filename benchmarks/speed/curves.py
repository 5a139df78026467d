"""Cost of a training step by batch size, image size, crops, queue, prototypes and processes.

    python -m ssl_zoo.benchmarks.speed.curves [--rounds 3] [--threads N] [--write docs]

Each point is the whole step (augmentation, loss, backward pass, optimizer, the method's hooks) on random images,
ResNet-18 with the small stem, batch 64 of 32 pixels but for what the curve varies. All points of a curve are measured
in turn, round after round; the line is the median, the band the fastest and slowest round. The last curve differs:
`ssl-zoo train` itself on digits, batch 256 divided among processes of one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import ssl_zoo
from ssl_zoo.augment import Augment
from ssl_zoo.build import hardware_for, to_device
from ssl_zoo.config.compose import compose
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.training.optim import build_optimizer

BASE = ("data=cifar10", "recipe=null", "backbone.name=resnet18", "augment.size=32", "batch_size=64")


@dataclass(frozen=True)
class Curve:
    """Varied setting: its values and the overrides that set each."""

    title: str
    unit: str
    points: dict[int, tuple[str, ...]]


def _small_crops(number: int) -> tuple[str, ...]:
    """Returns overrides of SwAV with two crops of 32 pixels and a number of 16."""
    small = f", small: {{count: {number}, size: 16, crop: {{scale: [0.05, 0.2]}}}}" if number else ""
    return ("method=swav", f"augment.views={{large: {{count: 2}}{small}}}")


def _set(method: str, key: str, *values: int) -> dict[int, tuple[str, ...]]:
    return {value: (f"method={method}", f"{key}={value}") for value in values}


CURVES = (
    Curve("SimSiam: images in a batch", "images", _set("simsiam", "batch_size", 16, 32, 64, 128, 256)),
    Curve("SimSiam: side of the images", "pixels", _set("simsiam", "augment.size", 16, 32, 48, 64)),
    Curve("SwAV: small crops besides two large ones", "crops", {n: _small_crops(n) for n in (0, 2, 4, 6)}),
    Curve("MoCo: queue", "keys", _set("moco", "method.queue.size", 1024, 4096, 16384, 65536)),
    Curve("SwAV: prototypes", "prototypes", _set("swav", "method.prototypes.number", 100, 1000, 3000, 10000)),
)


def training_step(overrides: tuple[str, ...]) -> Callable[[], None]:
    """Returns the training step of a run, without a trainer, on random images."""
    config = compose([*BASE, *overrides])
    hardware = hardware_for(config)
    size = config.augment.size
    images = torch.randint(0, 256, (config.batch_size, config.data.channels, size, size), dtype=torch.uint8)
    index = torch.arange(config.batch_size)
    method = to_device(config, ssl_zoo.build_method([*BASE, *overrides]), hardware)
    method.allocate(config.batch_size)
    method.train()
    augment = Augment(config.views, config.data.mean, config.data.std)
    optimizer = build_optimizer(config.optimizer, method, config.batch_size)
    generator = torch.Generator(hardware.device).manual_seed(0)
    images, index = images.to(hardware.device), index.to(hardware.device)
    progress = Progress(0, 1000, 100)

    def step() -> None:
        views = [view.contiguous(memory_format=torch.channels_last) for view in augment(images, generator)]
        method.before_step(progress)
        with torch.autocast(hardware.device.type, hardware.dtype, enabled=hardware.dtype is not None):
            loss = method.loss(views, index).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        method.after_backward(progress)
        optimizer.step()
        method.after_step(progress)
        if hardware.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def measure_curve(curve: Curve, rounds: int) -> dict[int, list[float]]:
    """Returns the seconds of a step at each value, a list over the rounds."""
    steps = {value: training_step(overrides) for value, overrides in curve.points.items()}
    for step in steps.values():
        step()
    seconds: dict[int, list[float]] = {value: [] for value in steps}
    for _ in range(rounds):
        for value, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[value].append(time.perf_counter() - started)
    return seconds


PROCESSES = Curve("SimSiam on digits: processes", "processes", _set("simsiam", "trainer.devices", 1, 2, 4))


def measure_processes(rounds: int) -> dict[int, list[float]]:
    """Returns the seconds of a step of `ssl-zoo train` in several processes of one thread each."""
    common = (
        "batch_size=256",
        "epochs=4",
        "monitor.every_epochs=99",
        "monitor.baselines=false",
        "trainer.threads=1",
    )
    seconds: dict[int, list[float]] = {value: [] for value in PROCESSES.points}
    for _ in range(rounds):
        for value, overrides in PROCESSES.points.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    sys.executable,
                    "-m",
                    "ssl_zoo",
                    "train",
                    *overrides,
                    *common,
                    f"run_dir={folder}/run",
                ]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                result = json.loads((Path(folder) / "run" / "result.json").read_text(encoding="utf-8"))
            seconds[value].append(result["train_seconds"] / result["steps"])
    return seconds


def curve_table(curve: Curve, seconds: dict[int, list[float]]) -> str:
    """Returns a Markdown table of a curve."""
    lines = [f"| {curve.unit} | ms a step | spread |", "|---|---|---|"]
    for value, times in seconds.items():
        low, high = 1e3 * min(times), 1e3 * max(times)
        lines.append(f"| {value:,} | {1e3 * statistics.median(times):.0f} | {low:.0f}..{high:.0f} |")
    return f"**{curve.title}**\n\n" + "\n".join(lines) + "\n"


def draw_curves(path: Path, measured: list[tuple[Curve, dict[int, list[float]]]]) -> None:
    """Draws all curves into one picture."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (curve, seconds) in zip(figure.subplots(2, 3).flatten(), measured, strict=True):
        _draw(axis, curve, seconds)
    figure.savefig(path, dpi=120)


def _draw(axis: Axes, curve: Curve, seconds: dict[int, list[float]]) -> None:
    values = list(seconds)
    axis.fill_between(
        values, [1e3 * min(t) for t in seconds.values()], [1e3 * max(t) for t in seconds.values()], alpha=0.2
    )
    axis.plot(values, [1e3 * statistics.median(t) for t in seconds.values()], marker="o", ms=4)
    axis.set(xlabel=curve.unit, ylabel="ms a step")
    axis.set_title(curve.title, fontsize=10)
    if values[-1] > 50 * max(1, values[0]):
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_ylim(bottom=0)
    axis.set_xticks(values, [f"{value:,}" for value in values], fontsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Measures all curves; prints the tables or writes the picture and them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help="folder that gets images/speed-curves.png")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    measured: list[tuple[Curve, dict[int, list[float]]]] = []
    for curve in CURVES:
        measured.append((curve, measure_curve(curve, options.rounds)))
        sys.stdout.write(curve_table(*measured[-1]) + "\n")
        sys.stdout.flush()
    measured.append((PROCESSES, measure_processes(options.rounds)))
    sys.stdout.write(curve_table(*measured[-1]))
    if options.json is not None:
        content: dict[str, Any] = {curve.title: seconds for curve, seconds in measured}
        options.json.write_text(
            json.dumps({"threads": options.threads, "seconds": content}, indent=1), encoding="utf-8"
        )
    if options.write is not None:
        draw_curves(options.write / "images" / "speed-curves.png", measured)


if __name__ == "__main__":
    main()
