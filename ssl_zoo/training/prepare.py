"""All that a run needs, built and checked before anything is created on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ssl_zoo.build import build, placed
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import Plan, plan, use_threads
from ssl_zoo.method import Method
from ssl_zoo.parts.batchnorm import synchronize
from ssl_zoo.runs.checkpoints import Position
from ssl_zoo.training.launch import Place, place
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.memory_check import check_memory
from ssl_zoo.training.resume import Saved, choose_run_dir, find_checkpoint

__all__ = ["Prepared", "build", "build_method", "placed", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that could begin now."""

    config: RunConfig
    hardware: Plan
    run_dir: Path
    place: Place  # among the processes
    saved: Saved | None  # to continue from
    data: Data
    method: Method
    evaluator: Evaluator | None  # the first process measures

    @property
    def position(self) -> Position:
        """Where the training begins."""
        return Position(0, 0) if self.saved is None else self.saved.position

    def untrained(self) -> Method:
        """The method as it was before its training, built anew from the seed."""
        return placed(self.config, build(self.config, self.data.channels)[0], self.hardware)


def build_method(overrides: tuple[str, ...] | list[str] = ()) -> Method:
    """Builds a method with its backbone, untrained: `ssl_zoo.build_method(["method=byol"])`.

    The number of channels and the image size follow `data.channels` and `augment.size`; the weights follow
    `seed`. A method with a memory needs `method.allocate(number of images)` before its first loss.
    """
    config = compose(overrides)
    return build(config, config.data.channels)[0]


def prepare(config: RunConfig, run_dir: Path | None = None) -> Prepared:
    """Builds and checks everything.

    Args:
        config: of the run.
        run_dir: the run directory, chosen before and locked; null: chosen here.

    Raises:
        UserError: something the user said is wrong; nothing has been created.
    """
    plan(config)  # a device that is not there shows before the data is read
    here = place(config)
    if run_dir is None:
        run_dir = choose_run_dir(config) if here.first else Path(config.run_dir or ".").expanduser()
    saved = find_checkpoint(config, run_dir)
    _set_threads(config, here)
    data = load_data(config.data)
    _check_batch(config, len(data.train))
    if saved is not None and saved.images != len(data.train):
        raise UserError(
            f"resume continues on the same images; '{saved.path}' was trained on {saved.images}, and data.train now "
            f"has {len(data.train)}; start anew in another run_dir"
        )
    if config.trainer.memory_check:
        check_memory(config, data)  # before the weights take any
    method, backbone = build(config, data.channels)
    method.allocate(len(data.train))
    hardware = plan(config, strides_single_pixels=backbone.strides_single_pixels)
    if here.world > 1 and config.method.batch_norm == "sync":
        synchronize(method, hardware.device)
    return Prepared(
        config=config,
        hardware=hardware,
        run_dir=run_dir,
        place=here,
        saved=saved,
        data=data,
        method=placed(config, method, hardware),
        evaluator=Evaluator(config, data, hardware) if here.first else None,
    )


def _set_threads(config: RunConfig, here: Place) -> None:
    threads = config.trainer.threads
    if threads is None and here.world > 1:
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
