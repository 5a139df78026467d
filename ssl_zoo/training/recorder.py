"""The Lightning callback that watches a run: measurements, metrics.csv, TensorBoard, checkpoints, Ctrl-C."""

from __future__ import annotations

import contextlib
import csv
import math
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

from ssl_zoo.config.schema import MonitorConfig, TrainerConfig
from ssl_zoo.distributed import any_process, average
from ssl_zoo.errors import Interrupted
from ssl_zoo.files.writing import whole_file
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.runs.checkpoints import LAST
from ssl_zoo.runs.directory import command_to_continue
from ssl_zoo.training.launch import Process
from ssl_zoo.training.measure import Evaluator, Measurement
from ssl_zoo.training.module import TrainingModule

__all__ = ["Recorder", "Row"]

Row = dict[str, float | None]
MEASURED = ".measured"  # ends the TensorBoard file of what was measured after the training
SAVE_SHARE = 0.02  # of the time, what checkpoints may take unless `checkpoint_every_epochs` says how many
ASK_EVERY = 16  # optimizer steps after which several processes ask one another whether to stop


class Recorder(pl.Callback):
    """Records a run in its directory. Of several processes the first measures and writes; all save together.

    Args:
        run_dir: where to.
        process: this one among all.
        evaluator: measures the encoder; None in all processes but the first.
        monitor: how often to measure.
        trainer: how often to save and to log.
        say: is given each epoch's row, for the terminal.
    """

    def __init__(
        self,
        run_dir: Path,
        process: Process,
        evaluator: Evaluator | None,
        *,
        monitor: MonitorConfig,
        trainer: TrainerConfig,
        say: Callable[[Row], None],
    ) -> None:
        self.run_dir = run_dir
        self.process = process
        self.evaluator = evaluator
        self.monitor = monitor
        self.trainer = trainer
        self.say = say
        self.seconds = 0.0  # spent training, without measurements
        self.views = 0
        self.rows: list[Row] = [{"epoch": 0, "step": 0}]
        self.stop_asked = False
        self.saved = self.save_seconds = 0.0  # when the last checkpoint was written, and how long it took
        self.writer: SummaryWriter | None = None  # of the first process, while it trains
        self.handlers: dict[int, Any] = {}  # of signals, before the training

    # What a resumed run needs: plain values only, so that a checkpoint never unpickles code.
    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds, "views": self.views}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds, self.views = state_dict["rows"], state_dict["seconds"], state_dict["views"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert (trainer.global_rank, trainer.world_size) == self.process, "Lightning found other processes"
        if self.process.rank_zero:
            # What a killed start wrote of later steps is not shown.
            self.writer = SummaryWriter(str(self.run_dir / "tensorboard"), purge_step=trainer.global_step + 1)
            self._write_rows()
        loss = self.rows[-1].get("loss")
        trainer.should_stop = loss is not None and not math.isfinite(loss)  # it had diverged, and so ended
        self.started = time.perf_counter()  # also when resumed within an epoch
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
        self.views += pl_module.config.batch_size * pl_module.views
        done, accumulate = batch_idx + 1, self.trainer.accumulate
        if done % accumulate and done != pl_module.batches:
            return  # never within an optimizer step
        if trainer.global_step % self.trainer.log_every_steps == 0:
            batches = (done - 1) % accumulate + 1  # of this step
            loss = average(torch.stack(pl_module.losses[-batches:]).mean())
            if self.writer is not None:
                self.writer.add_scalar("step/loss", float(loss), trainer.global_step)
        if done == pl_module.batches:
            return  # the end of the epoch has its own turn
        steps = self.trainer.checkpoint_every_steps
        saves = steps is not None and done // accumulate % steps == 0
        asks = self.process.world_size == 1 or done // accumulate % ASK_EVERY == 0
        stops = asks and any_process(self.stop_asked, pl_module.device)
        if saves or stops:
            now = time.perf_counter()
            self.seconds, self.started = self.seconds + now - self.started, now
            self._save(trainer)
        if stops:
            self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        loss = pl_module.mean_losses().mean().item()
        pl_module.losses.clear()
        self.seconds += time.perf_counter() - self.started
        epoch = trainer.current_epoch + 1
        diverged = not math.isfinite(loss)
        done = diverged or epoch == trainer.max_epochs
        row: Row = {"epoch": epoch, "step": trainer.global_step, "loss": loss}
        row["lr"] = pl_module.lr
        row["views_per_second"] = self.views / self.seconds
        if self.evaluator is not None and not done and epoch % self.monitor.every == 0:
            knn = epoch // self.monitor.every % self.evaluator.knn_every == 0
            row.update(self.evaluator.measure(pl_module.method, knn=knn, probe=False).row)
        self._record(row)
        trainer.should_stop = trainer.should_stop or diverged
        stops = any_process(self.stop_asked, pl_module.device)
        if (
            stops
            or done
            or any_process(self.process.rank_zero and self._save_is_due(epoch), pl_module.device)
        ):
            self._save(trainer)
        if stops:
            self._stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Lightning puts them back where the training ends with an error.
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def close(self) -> None:
        """Closes the TensorBoard file, however the training has ended."""
        if self.writer is not None:
            with contextlib.suppress(OSError):  # a full disk, which has been met by then
                self.writer.close()

    def complete(self, initial: Measurement, trained: Measurement) -> None:
        """Adds what was measured after the training, of the untrained encoder and of the trained one."""
        self.rows[0].update(initial.row)
        self.rows[-1].update(trained.row)
        self._write_rows()
        folder = self.run_dir / "tensorboard"
        for file in folder.glob(f"*{MEASURED}"):  # of a run that is taken up again
            file.unlink()
        with SummaryWriter(str(folder), filename_suffix=MEASURED) as writer:
            for name, value in trained.row.items():
                if value is not None:
                    writer.add_scalar(f"epoch/{name}", value, int(self.rows[-1]["step"] or 0))

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        if self.stop_asked and number == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: now
        self.stop_asked = True

    def _record(self, row: Row) -> None:
        self.rows.append(row)
        if self.writer is None:
            return
        self._write_rows()
        for name, value in row.items():
            if name not in ("epoch", "step") and value is not None:
                self.writer.add_scalar(f"epoch/{name}", value, int(row["step"] or 0))
        self.say(row)

    def _write_rows(self) -> None:
        with whole_file(self.run_dir / "metrics.csv") as fresh, fresh.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("epoch", "step", *declared(CSV)))
            writer.writeheader()
            writer.writerows(self.rows)

    def _stop(self) -> None:
        raise Interrupted(f"stopped and saved; to continue: {command_to_continue(self.run_dir)}")

    def _save_is_due(self, epoch: int) -> bool:
        """Whether an epoch's end is to be saved: where epochs are short, saving each would take longer than they do."""
        if self.trainer.checkpoint_every_epochs is not None:
            return epoch % self.trainer.checkpoint_every_epochs == 0
        return time.perf_counter() - self.saved >= self.save_seconds / SAVE_SHARE

    def _save(self, trainer: pl.Trainer) -> None:
        """Saves in all processes, as Lightning wants it; the first writes."""
        started = time.perf_counter()
        folder = self.run_dir / "checkpoints"
        if self.writer is not None:
            self.writer.flush()  # a continuation writes only the steps after this one
        trainer.save_checkpoint(folder / LAST)
        self.saved = time.perf_counter()
        self.save_seconds = self.saved - started
