"""Contenders, one per process: `python -m … .contenders NAME --folder DIR [options] --overrides OVERRIDES FD`.

`compare` starts them; its docstring explains them. Nothing heavy is imported before the start-up is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .pause import Gate, die_with_parent, pipe_exchange

if TYPE_CHECKING:
    from .step_clock import GateCallback

__all__ = ["CONTENDERS", "main"]

Report = dict[str, Any]
PREPARED = 4  # batches of views that the bare loop repeats
LONG = 2.0  # seconds
imported = 0.0  # time at which all imports of a contender were done


def main(overrides: Sequence[str]) -> None:
    """Sets a contender up and lets it train until it is killed."""
    die_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--folder", type=Path, required=True, help="for its files")
    parser.add_argument("--workers", type=int, default=1, help="of lightly's DataLoader")
    parser.add_argument("--parts", action="store_true", help="measure the parts of a step")
    parser.add_argument("--overrides", nargs="*", required=True)
    options = parser.parse_args(overrides[:-1])
    answers: dict[str, Callable[[], Report]] = {}
    gate = Gate(pipe_exchange(int(overrides[-1]), _extra, answers))
    tempfile.tempdir = str(options.folder)
    CONTENDERS[options.name](options, gate, answers)


def _ssl_zoo(options: argparse.Namespace, gate: Gate, answers: dict[str, Callable[[], Report]]) -> None:
    import ssl_zoo.training.run

    from .step_clock import observed
    from .step_times import ENDLESS

    _imported()
    callback = _callback(gate, options.parts)
    answers["costs"] = lambda: _costs(callback, options)
    endless = [f"epochs={ENDLESS}", f"monitor.every_epochs={ENDLESS}", f"run_dir={options.folder}"]
    with observed(callback):
        ssl_zoo.training.run.train([*options.overrides, *endless])


def _lightly(options: argparse.Namespace, gate: Gate, answers: dict[str, Callable[[], Report]]) -> None:
    import pytorch_lightning as pl

    from ssl_zoo.config.compose import compose
    from ssl_zoo.hardware.device import pick_device

    from . import lightly_way
    from .step_clock import observed
    from .step_times import ENDLESS

    _imported()
    config = compose(options.overrides)
    loader = lightly_way.build_loader(config, options.workers)
    kind = pick_device(config.trainer.accelerator).type
    with observed(_callback(gate, options.parts)):
        trainer = pl.Trainer(
            max_epochs=ENDLESS,
            devices=1,
            accelerator="gpu" if kind == "cuda" else kind,
            accumulate_grad_batches=config.trainer.accumulate,
            default_root_dir=options.folder,
        )
    trainer.fit(model=lightly_way.build_model(config), train_dataloaders=loader)


def _bare(
    options: argparse.Namespace,
    gate: Gate,
    answers: dict[str, Callable[[], Report]],
    more: Sequence[str] = (),
    *,
    compiled: bool | None = None,
    stock: bool = False,
) -> None:
    """Runs forward, backward and optimizer over views made beforehand, nothing else."""
    import torch

    from ssl_zoo.augment import Augment
    from ssl_zoo.build import build_method
    from ssl_zoo.config.compose import compose
    from ssl_zoo.parts.schedule import Progress
    from ssl_zoo.training.fit import compile_encoders
    from ssl_zoo.training.optim import build_optimizer
    from ssl_zoo.training.prepare import prepare

    from .step_clock import synchronizer

    _imported()
    overrides = [*options.overrides, *more, f"run_dir={options.folder}"]
    config = compose(overrides)
    ready = prepare(config)
    method, device, views = ready.method, ready.hardware.device, config.views
    layout = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    if stock:
        method = build_method(overrides).to(device).to(memory_format=layout)
        method.allocate(len(ready.data.train))
    augment = Augment(views, config.data.mean, config.data.std)
    loader = ready.data.train.train_loader(config.batch_size, views, seed=config.seed)
    generator = torch.Generator(device).manual_seed(config.seed)
    batches = []
    for _, (images, index) in zip(range(PREPARED), loader, strict=False):
        on_device = (
            images.to(device) if isinstance(images, torch.Tensor) else [view.to(device) for view in images]
        )
        batch_views = augment(on_device, generator)
        batches.append(([view.contiguous(memory_format=layout) for view in batch_views], index.to(device)))
    if ready.hardware.compile if compiled is None else compiled:
        compile_encoders(method)
    optimizer = build_optimizer(config.optimizer, method, config.batch_size * config.trainer.accumulate)
    precision = ready.hardware.dtype
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    gate.synchronize = synchronizer(device)
    running, step, accumulate = gate.begin(), 0, config.trainer.accumulate
    while running:
        batch_views, index = batches[step % len(batches)]
        progress = Progress(step // accumulate, sys.maxsize, len(loader))
        if step % accumulate == 0:
            method.before_step(progress)
        with nullcontext() if precision is None else torch.autocast(device.type, precision):
            loss = method.loss(batch_views, index).loss / accumulate
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        step += 1
        if step % accumulate == 0:
            method.after_backward(progress)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            method.after_step(progress)
        running = gate.step()


def _bare_fp32(options: argparse.Namespace, gate: Gate, answers: dict[str, Callable[[], Report]]) -> None:
    _bare(options, gate, answers, ["precision=fp32", "trainer.channels_last=false"])


def _bare_compiled(options: argparse.Namespace, gate: Gate, answers: dict[str, Callable[[], Report]]) -> None:
    _bare(options, gate, answers, compiled=True)


def _bare_stock(options: argparse.Namespace, gate: Gate, answers: dict[str, Callable[[], Report]]) -> None:
    _bare(options, gate, answers, stock=True)


CONTENDERS = {
    "ssl-zoo": _ssl_zoo,
    "bare": _bare,
    "bare-fp32": _bare_fp32,
    "bare-compiled": _bare_compiled,
    "bare-stock": _bare_stock,
    "lightly": _lightly,
}


def _callback(gate: Gate, parts: bool) -> GateCallback:
    from .step_clock import GateCallback, StepClock

    clock = StepClock() if parts else None
    gate.clock = clock
    return GateCallback(gate, clock)


def _costs(callback: GateCallback, options: argparse.Namespace) -> Report:
    """Returns the seconds that a measurement and a checkpoint take."""
    from ssl_zoo.config.compose import compose
    from ssl_zoo.training.callbacks import MeasureEncoder
    from ssl_zoo.training.module import TrainingModule

    trainer, module = callback.trainer, callback.module
    assert trainer is not None
    assert isinstance(module, TrainingModule)
    measure = next(hook for hook in trainer.callbacks if isinstance(hook, MeasureEncoder))  # type: ignore[attr-defined]
    evaluator, method = measure.evaluator, module.method
    assert evaluator is not None
    path = options.folder / "measured.ckpt"
    evaluator.config = compose(options.overrides)  # the run's own intervals, not the endless ones
    diagnostics = _seconds(callback, lambda: evaluator.measure(method, knn=False, probe=False))
    both = diagnostics
    if evaluator.scored:
        both = _seconds(callback, lambda: evaluator.measure(method, knn=True, probe=False))
    return {
        "checkpoint": _seconds(callback, lambda: trainer.save_checkpoint(path)),
        "diagnostics": diagnostics,
        "diagnostics_and_knn": both,
        "knn_every": evaluator.knn_every,
        "steps_per_epoch": module.batches,
        "checkpoint_mb": path.stat().st_size / 2**20,
    }


def _seconds(callback: GateCallback, action: Callable[[], object]) -> float:
    """Returns the seconds of an action: of its second call, with warm caches, unless the first was long."""
    seconds = 0.0
    for _ in range(2):
        callback.gate.synchronize()
        began = time.monotonic()
        action()
        callback.gate.synchronize()
        seconds = time.monotonic() - began
        if seconds > LONG:
            break
    return seconds


def _imported() -> None:
    global imported
    imported = time.monotonic()


def _extra() -> Report:
    """Returns further entries of each report: the time of the imports, and the peak memory of the GPU."""
    import torch

    gpu = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    return {
        "imported": imported,
        "threads": torch.get_num_threads(),
        "gpu_mb": torch.cuda.max_memory_allocated() / 2**20 if gpu else None,
    }


if __name__ == "__main__":
    from ssl_zoo.errors import UserError

    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"ssl-zoo: {error}")
