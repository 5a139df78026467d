"""Runs that stop at a chosen step, so that a check meets them under way on any machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from ssl_zoo.training.saving import StopWhenAsked

__all__ = ["stopped_after"]


@contextlib.contextmanager
def stopped_after(step: int) -> Iterator[None]:
    """Has the runs of this process save and stop, as by Ctrl-C, after so many optimizer steps."""
    inner = StopWhenAsked.on_train_batch_end

    def stopping(self: StopWhenAsked, trainer: Any, *rest: Any) -> None:
        self.request.asked = trainer.global_step == step
        inner(self, trainer, *rest)

    with mock.patch.object(StopWhenAsked, "on_train_batch_end", stopping):
        yield
