"""Notices a collapse in the epoch in which it happens, and ends the run there if that is asked for.

At each epoch's end the residual energy of a few images is estimated, one forward pass without gradient. Where it is
low, the embeddings are measured in full, if they were not anyway, and rule 2 of the verdict is asked of them: what is
reported during training is what the verdict would say.

The estimate is low when it is below COLLAPSED_ENERGY and below half of the highest that the run has had
(`monitors.verdict.has_fallen`). And nothing is asked before SETTLED_STEPS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from ssl_zoo.distributed import any_process
from ssl_zoo.method import Method
from ssl_zoo.monitors.evidence import residual_energy
from ssl_zoo.monitors.verdict import COLLAPSED_ENERGY, SETTLED_STEPS, has_fallen, is_collapsed
from ssl_zoo.training.callbacks import EpochRows
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.module import TrainingModule

__all__ = ["NoticeCollapse"]


class NoticeCollapse(pl.Callback):
    """Reports the first epoch in which the embeddings are collapsed; with `stop` the run ends with it.

    Args:
        epochs: the rows of the run, which get the measurement and keep the epoch.
        evaluator: measures, in the process of rank zero; None in the others.
        stop: whether to end the run, all processes together.
        report: is given the sentence for the terminal.
    """

    def __init__(
        self, epochs: EpochRows, evaluator: Evaluator | None, *, stop: bool, report: Callable[[str], None]
    ) -> None:
        self.epochs, self.evaluator, self.stop, self.report = epochs, evaluator, stop, report
        self.highest = 0.0  # residual energy so far
        self.stopped_in: int | None = None  # the epoch with which the run was ended

    def state_dict(self) -> dict[str, Any]:
        return {"highest": self.highest, "stopped_in": self.stopped_in}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.highest, self.stopped_in = state_dict["highest"], state_dict.get("stopped_in")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        if pl_module.batches_done == 0:
            method = pl_module.whole_method()
            if self.evaluator is not None:
                self.highest = self.evaluator.estimate_energy(method)
        collapsed = (self.stopped_in, self.epochs.collapsed_epoch)  # of a run that is resumed
        ended = self.stop and self.epochs.rows[-1]["epoch"] in collapsed
        trainer.should_stop = trainer.should_stop or ended

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        reported = self.epochs.collapsed_epoch is not None
        if self.epochs.ended or (reported and not self.stop):  # at the end all is measured, and judged
            return
        settled = trainer.global_step >= SETTLED_STEPS
        method, epoch = pl_module.whole_method(), trainer.current_epoch + 1
        collapsed = self.evaluator is not None and self._is_collapsed(self.evaluator, method, settled)
        if collapsed:
            self._report(epoch)
        if any_process(collapsed, pl_module.device):
            self.epochs.collapsed_epoch = self.epochs.collapsed_epoch or epoch
            if self.stop:
                self.stopped_in, self.epochs.ended, trainer.should_stop = epoch, True, True

    def _is_collapsed(self, evaluator: Evaluator, method: Method, settled: bool) -> bool:
        energy = evaluator.estimate_energy(method)
        low = settled and has_fallen(energy, self.highest)
        self.highest = max(self.highest, energy)
        if not low:
            return False
        row = self.epochs.rows[-1]
        if row.get("center_ratio") is None:
            row.update(evaluator.measure(method, knn=False, probe=False).row)
        return is_collapsed(self._figures())

    def _figures(self) -> dict[str, float]:
        return {key: math.nan if value is None else value for key, value in self.epochs.rows[-1].items()}

    def _report(self, epoch: int) -> None:
        self.epochs.collapsed_epoch = self.epochs.collapsed_epoch or epoch
        then = "the run ends" if self.stop else "monitor.stop_on=collapsed would end the run"
        self.report(
            f"collapsed in epoch {epoch}: residual energy {residual_energy(self._figures()):.2g} is below "
            f"{COLLAPSED_ENERGY:.2g}; {then}"
        )
