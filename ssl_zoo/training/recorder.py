"""The Lightning callback that watches a run: measurements, metrics.csv, TensorBoard, checkpoints, Ctrl-C."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.tensorboard import SummaryWriter

from ssl_zoo.errors import Interrupted
from ssl_zoo.training.evaluator import Evaluator, Measurement
from ssl_zoo.training.module import TrainingModule

__all__ = ["COLUMNS", "Recorder", "Row"]

Row = dict[str, float | None]
COLUMNS = (
    "epoch", "step", "loss", "lr", "knn_top1", "output_std_ratio", "center_ratio", "residual_ratio",
    "effective_rank", "alignment", "uniformity", "views_per_second",
)  # fmt: skip


class Recorder(pl.Callback):
    """Records a run in its directory.

    Args:
        run_dir: where to.
        evaluator: measures the encoder.
        every: epochs between measurements.
        checkpoint_every: epochs between checkpoints.
        log_every: steps between points in TensorBoard.
        initial: the measurement of the untrained encoder.
        say: is given each epoch's row, for the terminal.
    """

    def __init__(
        self,
        run_dir: Path,
        evaluator: Evaluator,
        *,
        every: int,
        checkpoint_every: int,
        log_every: int,
        initial: Measurement,
        say: Callable[[Row], None],
    ) -> None:
        self.run_dir = run_dir
        self.evaluator = evaluator
        self.every = every
        self.checkpoint_every = checkpoint_every
        self.log_every = log_every
        self.say = say
        self.seconds = 0.0  # spent training, without measurements
        self.views = 0
        self.last = initial
        self.rows: list[Row] = [{"epoch": 0, "step": 0, **_columns(initial)}]
        self.stop_asked = False

    # What a resumed run needs: plain values only, so that a checkpoint never unpickles code.
    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds, "views": self.views}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds, self.views = state_dict["rows"], state_dict["seconds"], state_dict["views"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=trainer.global_step)
        self._write_rows()
        self.started = time.perf_counter()  # also when resumed within an epoch
        self.handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.handlers[number] = signal.signal(number, self._ask_to_stop)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        pl_module.batches_done += 1
        self.views += len(batch[1]) * pl_module.views
        if (batch_idx + 1) % self.log_every == 0:
            self.writer.add_scalar("step/loss", float(pl_module.losses[-1]), trainer.global_step)
        if (
            self.stop_asked and batch_idx + 1 < pl_module.batches
        ):  # between two steps, so that none is half done
            self.seconds += time.perf_counter() - self.started
            self._save_and_stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        loss = torch.stack([loss.to(pl_module.device) for loss in pl_module.losses]).mean().item()
        pl_module.losses.clear()
        self.seconds += time.perf_counter() - self.started
        epoch = trainer.current_epoch + 1
        diverged = not math.isfinite(loss)
        done = diverged or epoch == trainer.max_epochs
        row: Row = {"epoch": epoch, "step": trainer.global_step, "loss": loss}
        row["lr"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["views_per_second"] = self.views / self.seconds
        if done or epoch % self.every == 0:
            self.last = self.evaluator.measure(pl_module.method)
            row.update(_columns(self.last))
        self._record(row)
        trainer.should_stop = trainer.should_stop or diverged
        if self.stop_asked:
            self._save_and_stop(trainer)
        if done or epoch % self.checkpoint_every == 0:
            self._save(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in getattr(self, "handlers", {}).items():
            signal.signal(number, handler)
        if hasattr(self, "writer"):
            self.writer.close()

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop_asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: now
        self.stop_asked = True

    def _record(self, row: Row) -> None:
        self.rows.append(row)
        self._write_rows()
        for name, value in row.items():
            if name not in ("epoch", "step") and value is not None:
                self.writer.add_scalar(f"epoch/{name}", value, int(row["step"] or 0))
        self.say(row)

    def _write_rows(self) -> None:
        temporary = self.run_dir / "metrics.csv.tmp"
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.run_dir / "metrics.csv")

    def _save_and_stop(self, trainer: pl.Trainer) -> None:
        self._save(trainer)
        raise Interrupted(
            f"stopped and saved; continue with the same words, run_dir={self.run_dir} and resume=auto"
        )

    def _save(self, trainer: pl.Trainer) -> None:
        folder = self.run_dir / "checkpoints"
        folder.mkdir(exist_ok=True)
        temporary = folder / "saving.ckpt"
        trainer.save_checkpoint(temporary)
        os.replace(temporary, folder / "last.ckpt")  # whole or not at all


def _columns(measured: Measurement) -> Row:
    values = {"knn_top1": measured.knn_top1, **dataclasses.asdict(measured.diagnostics)}
    return {name: value for name, value in values.items() if name in COLUMNS}
