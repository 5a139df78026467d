"""Lightning callbacks of a run, one for each task, in the order in which they act.

An epoch's row is begun (`EpochRows`), completed by measurements (`MeasureEncoder`, `NoticeCollapse` in `collapse.py`)
and logged (`LogRows`); then the run is saved and ends early where that is asked for (`saving.py`). Of several processes
rank zero measures and writes.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ssl_zoo.distributed import average
from ssl_zoo.files.writing import atomic_file
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.training.loggers import LoggedRow, log_epoch
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.process import Process

__all__ = ["EpochRows", "LogRows", "MeasureEncoder"]


class EpochRows(pl.Callback):
    """Keeps a row of figures per epoch, and the time and views of the training, in each checkpoint and `metrics.csv`.

    Lightning's CSVLogger appends: a run continued from a checkpoint would keep rows of later steps, and one continued
    in another directory would lack the earlier rows. Here the file is written whole, from the checkpoint's rows.

    Args:
        run_dir: where `metrics.csv` is.
        process: this one among all.
    """

    def __init__(self, run_dir: Path, process: Process) -> None:
        self.run_dir, self.process = run_dir, process
        self.rows: list[LoggedRow] = [
            {"epoch": 0, "step": 0}
        ]  # the first is of the encoder before the training
        self.views = 0
        self.ended = False  # whether the last row is of the run's last epoch
        self.collapsed_epoch: int | None = None  # in which a collapse was noticed first
        self._seconds = 0.0  # without those since `_started`
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds spent training, without measurements."""
        return self._seconds + (0.0 if self._started is None else time.perf_counter() - self._started)

    def write(self, *, last: bool = False) -> None:
        """Writes `metrics.csv`; but for the last time a continuation would write it again."""
        path = self.run_dir / "metrics.csv"
        with (
            atomic_file(path, derived=not last) as fresh,
            fresh.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, ("epoch", "step", *declared(CSV)))
            writer.writeheader()
            writer.writerows(self.rows)

    # Plain values only, so that a checkpoint never unpickles code.
    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "seconds": self.seconds,
            "views": self.views,
            "collapsed_epoch": self.collapsed_epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self._seconds, self.views = state_dict["rows"], state_dict["seconds"], state_dict["views"]
        self.collapsed_epoch = state_dict.get("collapsed_epoch")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert (trainer.global_rank, trainer.world_size) == self.process, "Lightning found other processes"
        if self.process.rank_zero:
            self.write()
        loss = self.rows[-1].get("loss")
        trainer.should_stop = loss is not None and not math.isfinite(loss)  # it had diverged, and so ended
        self._started = time.perf_counter()  # also when resumed within an epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        pl_module.batches_done += 1
        self.views += pl_module.config.batch_size * pl_module.views

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        loss = pl_module.mean_losses().mean().item()
        pl_module.losses.clear()
        self._seconds, self._started = self.seconds, None
        epoch, diverged = trainer.current_epoch + 1, not math.isfinite(loss)
        row: LoggedRow = {"epoch": epoch, "step": trainer.global_step, "loss": loss, "lr": pl_module.lr}
        self.rows.append({**row, "views_per_second": self.views / self.seconds})
        self.ended = diverged or epoch == trainer.max_epochs
        trainer.should_stop = trainer.should_stop or diverged

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = None  # a run that had diverged begins no epoch


class MeasureEncoder(pl.Callback):
    """Adds to the row of each n-th epoch what is measured of the encoder; after the last epoch all is measured.

    Args:
        epochs: the rows of the run.
        evaluator: measures, in the process of rank zero; None in the others.
        every: epochs between measurements.
    """

    def __init__(self, epochs: EpochRows, evaluator: Evaluator | None, every: int) -> None:
        self.epochs, self.evaluator, self.every = epochs, evaluator, every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        number, rest = divmod(trainer.current_epoch + 1, self.every)
        if rest or self.epochs.ended:
            return
        method = pl_module.whole_method()
        if self.evaluator is not None:
            knn = number % self.evaluator.knn_every == 0
            self.epochs.rows[-1].update(self.evaluator.measure(method, knn=knn, probe=False).row)


class LogRows(pl.Callback):
    """Logs each epoch's row, and the loss of each n-th optimizer step, to Lightning's loggers.

    Not by `LightningModule.log`, which rounds every figure to float32.

    Args:
        epochs: the rows of the run.
        every: optimizer steps between two logged losses.
        report: is given each epoch's row, for the terminal.
    """

    def __init__(self, epochs: EpochRows, every: int, report: Callable[[LoggedRow], None]) -> None:
        self.epochs, self.every, self.report = epochs, every, report

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        batches = pl_module.batches_of_step(batch_idx)
        if batches and trainer.global_step % self.every == 0:
            loss = average(torch.stack(pl_module.losses[-batches:]).mean())
            if self.epochs.process.rank_zero:
                for logger in trainer.loggers:
                    logger.log_metrics({"step/loss": float(loss)}, trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.epochs.process.rank_zero:
            self.epochs.write()
            log_epoch(trainer.loggers, self.epochs.rows[-1], trainer.global_step)
            self.report(self.epochs.rows[-1])
