"""A Lightning callback that tells whether a training collapses, without a change of the module that is trained.

The first step shows how the script's modules make an encoder (`outputs`). It is measured as the runs of `ssl-zoo train`
are, in evaluation mode and in float32, of the images of the first batches with the views that they had. Where the
script does something else between backbone and head, the outputs of the last steps are taken as training made them; the
closing table says which. Nothing is drawn at random, so that training goes on to the bit as without the monitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from ssl_zoo.errors import UserError, shown
from ssl_zoo.monitors.evidence import residual_energy
from ssl_zoo.monitors.verdict import SETTLED_STEPS, has_fallen, is_collapsed
from ssl_zoo.standalone.diagnosis import Diagnosis
from ssl_zoo.standalone.judge import Judge
from ssl_zoo.standalone.modules import find_modules
from ssl_zoo.standalone.results import Results
from ssl_zoo.standalone.watch import Watch

__all__ = ["CollapseMonitor"]

# Strategies that divide weights, whose modules cannot be called alone.
DIVIDING = ("FSDP", "ModelParallel", "DeepSpeed")


class CollapseMonitor(pl.Callback):
    """Lightning callback: measures the embeddings of each epoch, and ends with a verdict, its cause and a remedy.

        trainer = pl.Trainer(max_epochs=10, callbacks=[ssl_zoo.CollapseMonitor()])

    For trainers of `pytorch_lightning` and of `lightning.pytorch`, which both take it in a list. Of several processes
    each measures its own images; the figures are their means, the same in all, and rank zero writes.

    Args:
        outputs: name of the module whose outputs the loss compares, (N, D); by default the one that lightly's examples
            have: projection_head, student_head, backbone …
        predictions: name of the predictor; by default prediction_head, where there is one.
        targets: name of the target encoder's head; by default projection_head_momentum or teacher_head.
        views_per_call: views of the batch that one call of these modules holds, one after another: 2 where the script
            encodes `torch.cat((x0, x1))`.
        samples: images that are measured, in each process.
        stop: whether to end the training when it has collapsed, or diverged.
        patience: epochs in a row that must be collapsed for that.
        out: JSON file for the results, written anew after each epoch; by default collapse.json in the logger's folder,
            and none without a logger.
        quiet: whether to print nothing.

    Attributes:
        diagnosis: of the last epoch; None before the first has ended.
        rows: figures of each epoch.
        collapsed_epoch: the first that was collapsed, counted from 1; None: none was.

    Raises:
        UserError: `out` is a folder; when training starts, for a name that is no module; in the first step, if a module
            returns something else than vectors; by the end of the first epoch, if it is not called.
    """

    def __init__(
        self,
        outputs: str | None = None,
        predictions: str | None = None,
        targets: str | None = None,
        *,
        views_per_call: int = 1,
        samples: int = 256,
        stop: bool = False,
        patience: int = 1,
        out: str | Path | None = None,
        quiet: bool = False,
    ) -> None:
        for name, value, least in (
            ("views_per_call", views_per_call, 1),
            ("samples", samples, 32),
            ("patience", patience, 1),
        ):
            if value < least:
                raise UserError(f"{name} must be at least {least}; received {value}")
        self.names = {"embeddings": outputs, "predictions": predictions, "targets": targets}
        self.views_per_call, self.samples = views_per_call, samples
        self.stop, self.patience = stop, patience
        self.out = None if out is None else Path(out)
        if self.out is not None and self.out.is_dir():
            raise UserError(
                f"out must be a file; received the folder {shown(str(out))}; e.g. out='collapse.json'"
            )
        self.quiet = quiet
        self._reset()

    def _reset(self) -> None:
        self.diagnosis: Diagnosis | None = None
        self.rows: list[dict[str, float]] = []
        self.collapsed_epoch: int | None = None
        self._highest = 0.0  # residual energy so far
        self._in_a_row = 0  # epochs that were collapsed
        self._watch: Watch | None = None

    @property
    def state_key(self) -> str:
        """Names the state in a checkpoint; monitors of different modules have their own."""
        return self._generate_state_key(outputs=self.names["embeddings"])

    # Plain values only, so that a checkpoint never unpickles code.
    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "highest": self._highest,
            "collapsed_epoch": self.collapsed_epoch,
            "in_a_row": self._in_a_row,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self._highest = state_dict["rows"], state_dict["highest"]
        self.collapsed_epoch, self._in_a_row = state_dict["collapsed_epoch"], state_dict["in_a_row"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Before a checkpoint's state is loaded; a trainer that goes on has steps already.
        if stage == "fit" and trainer.global_step == 0:
            self._reset()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        modules = find_modules(pl_module, self.names)
        divided = type(trainer.strategy).__name__.startswith(DIVIDING)
        self._watch = Watch(
            pl_module,
            modules,
            views_per_call=self.views_per_call,
            images=self.samples,
            evaluate=not divided,
        )
        self._judge = Judge(self._watch, modules)
        others = sum(isinstance(each, CollapseMonitor) for each in trainer.callbacks) > 1  # type: ignore[attr-defined]
        self._results = Results(
            self.out,
            {role: name for role, (name, _) in modules.items()},
            alone=not others,
            quiet=self.quiet or not trainer.is_global_zero,
        )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._watched.wants_batches:
            self._watched.recorder.begin()
        self._number = trainer.global_step

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        watch = self._watched
        if not (watch.recorder.active and watch.called):
            return
        watch.recorder.pause()  # what the backward pass calls is a repetition, of checkpointed activations
        if not watch.examined:
            watch.examine(loss)
            self._judge.look(trainer)
            if watch.encoder is not None and self._number == 0:
                self._highest = self._judge.begin(trainer)
        else:
            watch.keep_images()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        watch = self._watched
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            self._judge.losses.add(loss)
        if not watch.examined and not watch.called:
            watch.skip(last=False)
            watch.recorder.end()
            return
        first = self._judge.start is None and self._number == 0
        if not watch.examined:  # a script that calls loss.backward() by itself, and has changed the weights
            watch.examine(None)
        elif watch.recorder.active:
            watch.keep_images()
        watch.end_batch(self._number)
        if first and watch.encoder is None:
            self._highest = self._judge.begin(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._judge.losses.clear()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        watch, epoch = self._watched, trainer.current_epoch + 1
        if not watch.examined:
            watch.skip(last=True)
        known = self._judge.start is not None or bool(self.rows)
        d = self._judge.diagnose(trainer, epochs=epoch, highest=self._highest if known else None)
        watch.new_epoch()
        if d is None:
            return
        self.diagnosis = d
        self.rows.append({"epoch": epoch, **({} if d.loss is None else {"loss": d.loss}), **d.metrics})
        name = self._results.name
        pl_module.log_dict({f"{name}/{key}": value for key, value in d.metrics.items()}, sync_dist=True)
        energy = residual_energy(d.metrics)
        settled = watch.encoder is None or trainer.global_step >= SETTLED_STEPS
        collapsed = settled and has_fallen(energy, self._highest) and is_collapsed(d.metrics)
        self._highest = max(self._highest, energy)
        self._in_a_row = self._in_a_row + 1 if collapsed else 0
        if collapsed and self.collapsed_epoch is None:
            self.collapsed_epoch = epoch
            self._results.report(d, epoch, energy)
        # Asked in all processes: rank zero broadcasts its logger's folder.
        folder = trainer.log_dir if trainer.loggers else None
        if trainer.is_global_zero:
            self._results.write(folder, d, self.collapsed_epoch, self.rows)
        ends = self._in_a_row >= self.patience or d.verdict == "diverged"
        if self.stop and ends:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._end()
        self._remove()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._remove()

    @property
    def _watched(self) -> Watch:
        assert self._watch is not None, "Lightning calls on_fit_start first"
        return self._watch

    def _remove(self) -> None:
        if self._watch is not None:
            self._watch.recorder.end()

    def _end(self) -> None:
        """Prints the last diagnosis."""
        if self.diagnosis is not None and self._watch is not None:
            self._results.close(self.diagnosis, self._watch.mode)
        self._remove()
