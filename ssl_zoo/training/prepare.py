"""Builds and checks all that a run needs, before anything is created on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.build import build, hardware_for, to_device
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import Hardware, use_threads
from ssl_zoo.method import Method
from ssl_zoo.metrics import computed
from ssl_zoo.parts.batchnorm import synchronize
from ssl_zoo.run_dir.checkpoints import Position
from ssl_zoo.run_dir.directory import choose_run_dir
from ssl_zoo.training.blocks import check_blocks, recompute_blocks
from ssl_zoo.training.labels import check_labels, labels_for
from ssl_zoo.training.logger_checks import check_loggers
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.memory_check import check_memory
from ssl_zoo.training.process import Process, this_process
from ssl_zoo.training.resume import Saved, find_checkpoint
from ssl_zoo.training.shared import Shared
from ssl_zoo.training.start_from import find_start, recorded_start, take_weights

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that could begin now."""

    config: RunConfig
    hardware: Hardware
    run_dir: Path
    process: Process
    saved: Saved | None  # to continue from
    start: dict[str, Any] | None  # record of the run whose weights it began with
    data: Data
    method: Method
    evaluator: Evaluator | None  # measures, in the process of rank zero

    @property
    def position(self) -> Position:
        """The position at which the training begins."""
        return Position(0, 0) if self.saved is None else self.saved.position

    def untrained(self) -> Method:
        """Builds the method anew from the seed, as it was before its training."""
        return to_device(self.config, build(self.config, self.data.channels)[0], self.hardware)


def prepare(config: RunConfig, run_dir: Path | None = None, shared: Shared | None = None) -> Prepared:
    """Builds and checks everything.

    Args:
        config: of the run.
        run_dir: the run directory, chosen before and locked; None: chosen here.
        shared: what earlier runs of this process have loaded and measured; None: nothing.

    Raises:
        UserError: the configuration is wrong; nothing has been created.
    """
    hardware_for(config)  # a device that is not there shows before the data is read
    process = this_process(config)
    if process.world_size == 1 and (strategy := config.trainer.strategy) in ("zero1", "fsdp"):
        raise UserError(
            f"trainer.strategy={strategy} divides a run among processes; received one; set trainer.devices=N, or "
            "trainer.strategy=auto"
        )
    check_loggers(config)
    computed()  # loads the metrics of plugins, and refuses one that cannot be imported
    if run_dir is None:
        run_dir = choose_run_dir(config) if process.rank_zero else Path(config.run_dir or ".").expanduser()
    saved = find_checkpoint(config, run_dir)
    source = find_start(config, saved)
    _set_threads(config, process)
    shared = Shared() if shared is None else shared
    data = shared.data(config.data)
    _check_batch(config, len(data.train))
    if saved is not None and saved.images != len(data.train):
        raise UserError(
            f"resume continues on the same images; '{saved.path}' was trained on {saved.images}, and data.train now "
            f"has {len(data.train)}; put back what is missing or damaged, or start anew in another run_dir"
        )
    if saved is not None and saved.stamp.get("data_digest", data.digest) != data.digest:
        raise UserError(
            f"resume continues on the same images; '{saved.path}' was trained on images of digest "
            f"{saved.stamp['data_digest']}, and data.train={config.data.train} or data.test now has others, of "
            f"{data.digest}; put the same ones there, or start anew in another run_dir"
        )
    labels = labels_for(config, data)
    if saved is not None and labels is not None:
        check_labels(saved, data, config)
    if config.trainer.memory_check:
        check_memory(config, data, shared)  # before the weights take any
    method, backbone = build(config, data.channels)
    method.allocate(len(data.train))
    if labels is not None:
        method.take_labels(*labels)
    start = recorded_start(config, saved) if saved is not None else None
    if source is not None:
        start = take_weights(method, source)
    hardware = hardware_for(config, strides_single_pixels=backbone.strides_single_pixels)
    if process.world_size > 1 and config.method.batch_norm == "sync":
        synchronize(method, hardware.device)
    if config.trainer.strategy == "fsdp":
        check_blocks(backbone.model, config.backbone.name, "trainer.strategy=fsdp gathers")
    if config.trainer.activation_checkpointing:
        recompute_blocks(method, config.backbone.name)
    return Prepared(
        config=config,
        hardware=hardware,
        run_dir=run_dir,
        process=process,
        saved=saved,
        start=start,
        data=data,
        method=to_device(config, method, hardware),
        evaluator=Evaluator(config, data, hardware, shared) if process.rank_zero else None,
    )


def _set_threads(config: RunConfig, process: Process) -> None:
    threads = config.trainer.threads
    if threads is None and process.world_size > 1:
        threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // config.trainer.devices))
    use_threads(threads, "trainer.threads")


def _check_batch(config: RunConfig, images: int) -> None:
    accumulate = config.trainer.accumulate
    if config.batch_size * accumulate > images:
        times = f" * trainer.accumulate={accumulate}" if accumulate > 1 else ""
        batch, fix = max(2, images // (4 * accumulate)), ""
        if batch * accumulate > images:  # also of the smallest batches there are not that many
            batch, fix = max(2, images // 4), "trainer.accumulate=1 and " if accumulate > 1 else ""
        fix = f"set {fix}batch_size={batch}" if batch <= images else "train on 2 images or more"
        raise UserError(
            f"batch_size must be at most the number of training images, {images}; received "
            f"{config.batch_size}{times}; {fix}"
        )
