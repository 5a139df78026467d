"""Trains a prepared run by Lightning's Trainer."""

from __future__ import annotations

import contextlib
import datetime
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy

from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.method import Encoder, Method
from ssl_zoo.run_dir.checkpoints import CheckpointFiles
from ssl_zoo.terminal.signals import handlers_restored
from ssl_zoo.training.callbacks import EpochRows, LogRows, MeasureEncoder
from ssl_zoo.training.collapse import NoticeCollapse
from ssl_zoo.training.gradients import GradientNorms
from ssl_zoo.training.labels import label_record
from ssl_zoo.training.loggers import LoggedRow, build_loggers, ending
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.prepare import Prepared
from ssl_zoo.training.process import cluster
from ssl_zoo.training.same_images import CheckImages
from ssl_zoo.training.saving import SaveCheckpoints, StopWhenAsked
from ssl_zoo.training.sharded_weights import ShardedWeights

__all__ = ["Trained", "compile_encoders", "fit"]


class Trained(NamedTuple):
    """The trained method, the rows of its training, and the loggers for measurements after it."""

    method: Method  # with whole weights in the process of rank zero
    epochs: EpochRows
    loggers: list[Logger]


def fit(
    ready: Prepared, report: Callable[[LoggedRow], None], log: Callable[[str], None] = lambda line: None
) -> Trained:
    """Trains, from the beginning or from a checkpoint.

    Args:
        ready: the run.
        report: is given each epoch's row.
        log: is given a sentence when something happens that concerns the whole run.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run is saved.
    """
    config, views = ready.config, ready.config.views
    loader = ready.data.train.train_loader(config.batch_size, views, seed=config.seed, part=ready.process)
    loader.device = device = ready.hardware.device
    loader.set_position(*ready.position)
    augment = Augment(views, config.data.mean, config.data.std)
    about_data = label_record(ready.data) if ready.method.needs_labels else {}
    if ready.data.digest is not None:
        about_data["data_digest"] = ready.data.digest
    if loader.resizing is not None:
        if ready.saved is not None:
            loader.resizing = ready.saved.stamp.get("resizing", 1)  # unknown to versions that had one only
        about_data["resizing"] = loader.resizing
    module = TrainingModule(
        config,
        ready.method,
        augment,
        images=len(ready.data.train),
        batches=len(loader),
        about_data=about_data,
    )
    done = module.steps_until(ready.position)
    loggers = build_loggers(config, ready.run_dir, done, log) if ready.process.rank_zero else []
    epochs = EpochRows(ready.run_dir, ready.process)
    if ready.start is not None and ready.saved is None and ready.evaluator is not None:
        begun_with = ready.evaluator.measure(ready.method, knn=config.monitor.baselines, probe=False)
        epochs.rows[0].update(begun_with.row)
    checkpoints = SaveCheckpoints(epochs, config.trainer)
    callbacks = [
        CheckImages(ready.data, config.data.named),
        epochs,
        GradientNorms(epochs, ready.method),
        MeasureEncoder(epochs, ready.evaluator, config.monitor.every_epochs),
        NoticeCollapse(epochs, ready.evaluator, stop=config.monitor.stop_on == "collapsed", report=log),
        LogRows(epochs, config.trainer.log_every_steps, report),
        checkpoints,
        StopWhenAsked(checkpoints),
    ]
    with _quiet_lightning(), _repeatable():
        if ready.hardware.compile:
            compile_encoders(ready.method)
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=config.trainer.devices,
            num_nodes=config.trainer.num_nodes,
            strategy=_strategy(config),
            plugins=[cluster(config), CheckpointFiles()],
            use_distributed_sampler=False,  # the loader divides its batches itself
            precision=ready.hardware.lightning,  # type: ignore[arg-type]
            max_epochs=config.epochs,
            accumulate_grad_batches=config.trainer.accumulate,
            gradient_clip_val=config.optimizer.clip_grad_norm,
            callbacks=callbacks,
            logger=loggers,
            log_every_n_steps=0,  # `LogRows` logs
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=ready.run_dir,
        )
        checkpoint = None if ready.saved is None else ready.saved.path
        try:
            with ending(loggers), handlers_restored():
                trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as error:  # what Lightning makes of Ctrl-C and signals before the first step
            stopped = error.__context__
            raise stopped if isinstance(stopped, KeyboardInterrupt) else KeyboardInterrupt from error
        finally:
            for logger in loggers:
                logger.finalize("success")
    return Trained(module.trained[0], epochs, loggers)


def compile_encoders(method: Method) -> None:
    """Lets torch compile a method's encoders, in place: the momentum encoder too.

    Kernels are not chosen by a stopwatch, which would give a resumed run others, and other last bits.
    """
    for encoder in method.modules():
        if isinstance(encoder, Encoder):
            encoder.compile(options={"deterministic": True})


def _strategy(config: RunConfig) -> str | DDPStrategy:
    if config.trainer.processes == 1:
        return "auto"
    timeout = datetime.timedelta(minutes=config.trainer.timeout_minutes)
    if config.trainer.strategy == "fsdp":
        return ShardedWeights(timeout=timeout)
    # Queue and memory are alike in all processes by their own doing; sending them at each step would be slow.
    find = config.trainer.strategy == "ddp_find_unused_parameters_true"
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=find, timeout=timeout)


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Lets cuDNN take only algorithms that give the same bits each time, and the same ones in each process."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silences Lightning's hints about loggers, loaders and devices, on which no user can act."""
    names = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")
    ends = ("", ".utilities.rank_zero", ".utilities.distributed")
    loggers = [logging.getLogger(name + end) for name in names for end in ends]
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
