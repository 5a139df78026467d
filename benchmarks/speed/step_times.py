"""Speed of a run on this machine, and the parts of a step: `ssl-zoo doctor --speed`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.build import hardware_for
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.hardware.peak_memory import peak_memory_mb
from ssl_zoo.training.fit import fit
from ssl_zoo.training.prepare import prepare

from .pause import Gate, Order
from .step_clock import GateCallback, StepClock, observed

__all__ = ["ENDLESS", "Speed", "advice", "bottleneck", "check_single", "quick"]

ENDLESS = 10**6  # epochs; never reached
DEFAULT = ("method=simsiam",)  # on the embedded digits
ADVICE = {
    "load": "Reading images takes the most: keep them in memory (a larger data.cache_mb), or set data.workers to "
    "the number of cores, and shrink files that are far larger than augment.size.",
    "augment": "Making the views takes the most: {gpu}a smaller augment.size or an operation less (blur is the "
    "dearest: augment.blur.p=0) makes them faster.",
    "network": "The network's own arithmetic takes the most, as it should: only a faster device, {bf16}a smaller "
    "backbone or a smaller augment.size makes it faster.",
    "optimizer": "Updating the weights takes the most, which costs the same for any batch: raise batch_size.",
    "rest": "What surrounds the steps takes the most (the loop, logging), which costs the same for any "
    "batch: raise batch_size.",
}


@dataclass(frozen=True)
class Speed:
    """Result of `quick`."""

    views_per_second: float
    steps: int
    seconds: float  # of these steps
    batch_size: int
    views: int  # of each image
    fractions: dict[str, float]  # of the time, by the parts of a step (`step_clock.PARTS`); they add up to 1
    bottleneck: str  # load, augment, network (forward and backward), optimizer or rest
    advice: str  # against it, in a sentence
    device: str
    precision: str
    threads: int
    epoch_seconds: float  # training on all images once, at this rate
    images: int  # trained on in an epoch
    peak_memory_mb: float  # allocated on the GPU, else of this process, with imports and images


def quick(overrides: Sequence[str] = (), *, steps: int = 32, least: float = 1.0, most: float = 8.0) -> Speed:
    """Trains for some steps and leaves nothing behind.

    Args:
        overrides: of the run, as for `ssl-zoo train`; SimSiam on digits if there are none.
        steps: to time, at least, after three that warm up.
        least: seconds to time, at least.
        most: seconds after which it ends, however few the steps were.

    Raises:
        UserError: the overrides, or what they name, are wrong; the run has several processes, or diverges.
    """
    config = compose(overrides or DEFAULT)
    check_single(config)
    # On a GPU the rate is measured first, then the parts, whose clock waits for the device again and again.
    turns = 2 if hardware_for(config).device.type == "cuda" else 1
    order = Order(untimed=3, steps=steps, least=least, most=most)
    reports: list[dict[str, Any]] = []

    def exchange(report: dict[str, Any]) -> Order | None:
        clock.synchronize = callback.gate.synchronize if reports else lambda: None
        reports.append(report)
        return order if len(reports) <= turns else None

    clock = StepClock()
    callback = GateCallback(Gate(exchange, clock), clock)
    threads = torch.get_num_threads()
    try:
        with tempfile.TemporaryDirectory() as folder, observed(callback):
            ready = prepare(_endless(config, Path(folder) / "run"))
            ready.run_dir.mkdir()
            fit(ready, lambda row: None)
            used = torch.get_num_threads()
    except Interrupted as error:  # its checkpoint has been removed with the folder
        raise KeyboardInterrupt from error
    finally:
        torch.set_num_threads(threads)
    if len(reports) <= turns:
        raise UserError(
            "speed is measured on a run that trains; the loss of this one became infinite or not a number; lower "
            "optimizer.lr or set precision=fp32"
        )
    report, parts = reports[1], reports[turns]["parts"]
    seconds = report["ended"] - report["began"]
    total = sum(parts.values())
    fractions = {part: time / total for part, time in parts.items()}
    name = bottleneck(fractions)
    device = ready.hardware.device
    rate = report["steps"] * config.batch_size * len(config.views) / seconds
    images = len(ready.data.train) // config.batch_size * config.batch_size
    return Speed(
        views_per_second=rate,
        steps=report["steps"],
        seconds=seconds,
        batch_size=config.batch_size,
        views=len(config.views),
        fractions=fractions,
        bottleneck=name,
        advice=advice(name, ready.hardware.precision, device.type),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=ready.hardware.precision,
        threads=used,
        epoch_seconds=images * len(config.views) / rate,
        images=images,
        peak_memory_mb=peak_memory_mb(device),
    )


def advice(name: str, precision: str, device: str) -> str:
    """Returns advice on a bottleneck, without what the run does already."""
    bf16 = "precision=bf16 where the hardware multiplies it, " if precision == "fp32" else ""
    return ADVICE[name].format(gpu="" if device == "cuda" else "a GPU, ", bf16=bf16)


def bottleneck(fractions: dict[str, float]) -> str:
    """Returns the part that takes the most time: load, augment, network (forward and backward), optimizer or rest."""
    merged = {**fractions, "network": fractions["forward"] + fractions["backward"]}
    return max(ADVICE, key=lambda name: merged[name])


def check_single(config: RunConfig) -> None:
    """Refuses a run of several processes."""
    if config.trainer.processes > 1:
        raise UserError(
            f"speed is measured in one process; received trainer.devices={config.trainer.devices} and "
            f"trainer.num_nodes={config.trainer.num_nodes}; set both to 1"
        )


def _endless(config: RunConfig, run_dir: Path) -> RunConfig:
    """Returns the run without an end, and without measurements and checkpoints at the end of epochs."""
    return replace(
        config,
        epochs=ENDLESS,
        run_dir=str(run_dir),
        resume=None,
        monitor=replace(config.monitor, every_epochs=ENDLESS, baselines=False),
        trainer=replace(config.trainer, checkpoint_every_epochs=ENDLESS, checkpoint_every_steps=None),
    )
