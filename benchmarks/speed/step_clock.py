"""Observes a Lightning training from outside: a gate between its steps, and a clock for the parts of a step.

The training itself is unchanged. The clock is a Lightning profiler: Lightning calls it when loading, forward pass,
backward pass and optimizer begin and end, both in ssl-zoo's training and in lightly's way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler

from ssl_zoo.training.module import TrainingModule

from .pause import Gate

__all__ = ["PARTS", "GateCallback", "StepClock", "observed", "synchronizer"]

PARTS = ("load", "augment", "forward", "backward", "optimizer", "rest")
ACTIONS = {
    ".train_dataloader_next": "load",
    "Strategy.batch_to_device": "load",
    "Strategy.training_step": "forward",
    "Strategy.backward": "backward",
    ".optimizer_step": "optimizer",
}  # ends of Lightning's names for its actions; it has none for `augment` and the target encoder's update


class StepClock(Profiler):
    """Assigns each moment to exactly one part: the innermost that has begun, else `rest`.

    Args:
        synchronize: waits for the device where a part begins or ends. That takes time, so the parts are measured in a
            separate pass.
    """

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.synchronize = synchronize
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._within = ["rest"]
        self._since = time.monotonic()

    def start(self, action_name: str) -> None:
        part = _part(action_name)
        if part is not None:
            self._charge()
            self._within.append(part)

    def stop(self, action_name: str) -> None:
        if _part(action_name) is not None:
            self._charge()
            self._within.pop()

    def reset(self) -> None:
        """Starts again from zero."""
        self._charge()
        self._seconds = dict.fromkeys(PARTS, 0.0)

    def read(self) -> dict[str, float]:
        """Returns the seconds of each part since `reset`."""
        self._charge()
        return dict(self._seconds)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, its time assigned to a part."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._charge()
            self._within.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._charge()
                self._within.pop()

        return call

    def _charge(self) -> None:
        self.synchronize()
        now = time.monotonic()
        self._seconds[self._within[-1]] += now - self._since
        self._since = now


class GateCallback(pl.Callback):
    """Passes the gate before the first step and after each."""

    def __init__(self, gate: Gate, clock: StepClock | None = None) -> None:
        self.gate, self.clock = gate, clock
        self.trainer: pl.Trainer | None = None
        self.module: pl.LightningModule | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.trainer, self.module = trainer, pl_module
        self.gate.synchronize = synchronizer(pl_module.device)
        if self.clock is None:
            return
        self.clock.synchronize = self.gate.synchronize
        if isinstance(pl_module, TrainingModule):
            augment, method = pl_module.augment, pl_module.method
            augment.forward = self.clock.timed("augment", augment.forward)  # type: ignore[method-assign]
            method.after_step = self.clock.timed("rest", method.after_step)  # type: ignore[method-assign]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self.gate.begun:
            self.gate.begin()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.should_stop and not self.gate.step():
            trainer.should_stop = True


def synchronizer(device: torch.device) -> Callable[[], None]:
    """Returns a function that waits for a device."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


@contextmanager
def observed(callback: GateCallback) -> Iterator[None]:
    """Adds the callback, as the last one, and the clock to every `pl.Trainer` that is created within."""
    trainer = pl.Trainer

    def create(**options: Any) -> pl.Trainer:
        existing = options.pop("callbacks", None) or []
        callbacks = [*(existing if isinstance(existing, list) else [existing]), callback]
        return trainer(**options, callbacks=callbacks, profiler=callback.clock)

    with patch.object(pl, "Trainer", create):
        yield


def _part(action: str) -> str | None:
    return next((part for end, part in ACTIONS.items() if action.endswith(end)), None)
