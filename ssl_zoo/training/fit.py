"""The training itself, by Lightning's Trainer."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

import pytorch_lightning as pl

from ssl_zoo.augment import Augment
from ssl_zoo.method import Encoder
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.prepare import Prepared
from ssl_zoo.training.recorder import Recorder, Row

__all__ = ["fit"]


def fit(ready: Prepared, say: Callable[[Row], None]) -> Recorder:
    """Trains, from the beginning or from a checkpoint, and returns what was recorded.

    Args:
        ready: the run.
        say: is given each epoch's row.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run is saved.
    """
    config, views = ready.config, ready.config.augment.flat
    loader = ready.data.train.train_loader(config.batch_size, views, seed=config.seed)
    loader.set_position(*ready.position)
    augment = Augment(views, config.data.mean, config.data.std)
    module = TrainingModule(config, ready.method, augment, images=len(ready.data.train), batches=len(loader))
    recorder = Recorder(
        ready.run_dir,
        ready.evaluator,
        every=config.monitor.every,
        checkpoint_every=config.trainer.checkpoint_every,
        log_every=config.trainer.log_every,
        initial=ready.initial,
        say=say,
    )
    if config.compile:
        for encoder in ready.method.modules():
            if isinstance(encoder, Encoder):  # the momentum encoder too
                encoder.compile()
    kind = ready.hardware.device.type
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="gpu" if kind == "cuda" else kind,
            devices=1,
            precision=ready.hardware.lightning,  # type: ignore[arg-type]
            max_epochs=config.epochs,
            accumulate_grad_batches=config.trainer.accumulate,
            gradient_clip_val=config.optimizer.clip_grad_norm,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=ready.run_dir,
        )
        trainer.fit(module, loader, ckpt_path=ready.checkpoint, weights_only=True)
    if ready.position.epoch >= config.epochs:  # a finished run, taken up again: nothing was trained
        recorder.last = ready.evaluator.measure(ready.method)
    return recorder


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's hints about loggers, loaders and devices say nothing that a user could act on."""
    names = ("pytorch_lightning", "lightning.pytorch")
    loggers = [logging.getLogger(name + end) for name in names for end in ("", ".utilities.rank_zero")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning")
            warnings.filterwarnings("ignore", message=r".*(num_workers|GPU available|isinstance\(treespec).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
