"""Lightning callbacks that save a run, and that save and end it when it is asked to stop; all processes together."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

from ssl_zoo.config.schema import TrainerConfig
from ssl_zoo.distributed import any_process, from_all
from ssl_zoo.errors import Interrupted
from ssl_zoo.run_dir.checkpoints import LAST
from ssl_zoo.run_dir.directory import command_to_continue
from ssl_zoo.terminal.signals import SCHEDULER, StopRequest
from ssl_zoo.training.callbacks import EpochRows
from ssl_zoo.training.module import TrainingModule

__all__ = ["SAVE_FRACTION", "SaveCheckpoints", "StopWhenAsked"]

SAVE_FRACTION = 0.02  # of the time, for checkpoints, unless `checkpoint_every_epochs` says how many
ASK_EVERY = 16  # optimizer steps after which several processes ask one another whether to stop


class SaveCheckpoints(pl.Callback):
    """Saves the run at the end of epochs and, where that is set, within them.

    Lightning's ModelCheckpoint saves by its own schedule; here short epochs are saved as seldom as takes 2 % of the
    time, and a checkpoint within an epoch carries what continues it to the bit.

    Args:
        epochs: the rows of the run.
        config: how often to save.
    """

    def __init__(self, epochs: EpochRows, config: TrainerConfig) -> None:
        self.epochs, self.config = epochs, config
        self.saved_at = -1  # batches done at the last checkpoint of this start
        self.last_saved = self.save_seconds = (
            0.0  # when the last checkpoint was written, and how long that took
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        every, step = self.config.checkpoint_every_steps, pl_module.step_within_epoch(batch_idx)
        if every is not None and step and step % every == 0:
            self.save(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        due = self.epochs.process.rank_zero and self._is_due(trainer.current_epoch + 1)
        if self.epochs.ended or any_process(due, pl_module.device):
            self.save(trainer, pl_module)

    def save(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        """Saves in all processes, as Lightning wants it; rank zero writes."""
        started = time.perf_counter()
        for logger in trainer.loggers if self.epochs.process.rank_zero else ():
            logger.save()  # a continuation logs only the steps after this one
        trainer.save_checkpoint(self.epochs.run_dir / "checkpoints" / LAST)
        self.last_saved, self.saved_at = time.perf_counter(), module.batches_done
        self.save_seconds = self.last_saved - started

    def _is_due(self, epoch: int) -> bool:
        if self.config.checkpoint_every_epochs is not None:
            return epoch % self.config.checkpoint_every_epochs == 0
        return time.perf_counter() - self.last_saved >= self.save_seconds / SAVE_FRACTION


class StopWhenAsked(pl.Callback):
    """Ends the training after Ctrl-C, SIGTERM or SIGUSR1, when it is saved; all processes together.

    Lightning itself would end within an epoch without saving. A second signal while the run is saved changes nothing,
    but for Ctrl-C.

    Args:
        checkpoints: saves the run.
    """

    def __init__(self, checkpoints: SaveCheckpoints) -> None:
        self.checkpoints, self.epochs = checkpoints, checkpoints.epochs
        self.request = StopRequest()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.request.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        step = pl_module.step_within_epoch(batch_idx)
        if step and (self.epochs.process.world_size == 1 or step % ASK_EVERY == 0):
            self._stop_if_asked(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        self._stop_if_asked(trainer, pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.request.close()  # Lightning does so itself where the training ends with an error

    def _stop_if_asked(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        if any_process(self.request.asked, module.device):
            if self.checkpoints.saved_at != module.batches_done:
                self.checkpoints.save(trainer, module)
            command = command_to_continue(self.epochs.run_dir)
            numbers = from_all(self.request.number)
            number = next((each for each in reversed(SCHEDULER) if each in numbers), 0)
            raise Interrupted(f"stopped and saved; to continue: {command}", number)
