"""All that a run needs, built and checked before anything is created on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch

from ssl_zoo import registry
from ssl_zoo.backbone import Backbone, build_backbone
from ssl_zoo.config import compose
from ssl_zoo.data import Data, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.result import Baselines
from ssl_zoo.schema import RunConfig
from ssl_zoo.training.evaluator import Evaluator, Measurement, Scores
from ssl_zoo.training.hardware import Plan, plan
from ssl_zoo.training.resume import Position, check_checkpoint, choose_run_dir, find_checkpoint

__all__ = ["Prepared", "build_method", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that could begin now."""

    config: RunConfig
    hardware: Plan
    run_dir: Path
    checkpoint: Path | None  # to continue from
    position: Position
    data: Data
    method: Method
    evaluator: Evaluator
    initial: Measurement  # of the untrained encoder
    initial_scores: Scores | None  # None without labels or baselines
    baselines: Baselines


def build_method(words: tuple[str, ...] | list[str] = ()) -> Method:
    """Builds a method with its backbone, untrained: `ssl_zoo.build_method(["method=byol"])`.

    The number of channels and the image size follow `data.channels` and `augment.size`; the weights follow
    `seed`.
    """
    config = compose(words)
    return _build(config, config.data.channels)[0]


def prepare(config: RunConfig) -> Prepared:
    """Builds and checks everything.

    Raises:
        UserError: something the user said is wrong; nothing has been created.
    """
    plan(config)  # a device that is not there shows before the data is read
    run_dir = choose_run_dir(config)
    checkpoint = find_checkpoint(config, run_dir)
    position, seen = (Position(0, 0), None) if checkpoint is None else check_checkpoint(checkpoint, config)
    _set_threads(config.trainer.threads)
    data = load_data(config.data)
    _check_batch(config, len(data.train))
    if seen not in (None, len(data.train)):
        raise UserError(
            f"resume continues on the same images; '{checkpoint}' was trained on {seen}, and data.train now has "
            f"{len(data.train)}; start anew in another run_dir"
        )
    method, backbone = _build(config, data.channels)
    hardware = plan(config, strides_single_pixels=backbone.strides_single_pixels)
    method = method.to(hardware.device)
    if config.trainer.channels_last:
        method = method.to(memory_format=torch.channels_last)
    evaluator = Evaluator(config, data, hardware.device)
    scores, baselines = _baselines(config, evaluator, method)
    return Prepared(
        config=config,
        hardware=hardware,
        run_dir=run_dir,
        checkpoint=checkpoint,
        position=position,
        data=data,
        method=method,
        evaluator=evaluator,
        initial=evaluator.measure(method),
        initial_scores=scores,
        baselines=baselines,
    )


def _set_threads(threads: int | None) -> None:
    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise UserError(f"trainer.threads must be at most the number of cores, {cores}; received {threads}")
    if threads is not None:
        torch.set_num_threads(threads)


def _check_batch(config: RunConfig, images: int) -> None:
    accumulate = config.trainer.accumulate
    if config.batch_size * accumulate > images:
        times = f" * trainer.accumulate={accumulate}" if accumulate > 1 else ""
        raise UserError(
            f"batch_size must be at most the number of training images, {images}; received "
            f"{config.batch_size}{times}; set batch_size={max(2, images // (4 * accumulate))}"
        )


def _build(config: RunConfig, channels: int) -> tuple[Method, Backbone]:
    pl.seed_everything(config.seed, workers=True, verbose=False)
    backbone = build_backbone(config.backbone, channels, config.augment.size)
    method = registry.get(config.method.name).method
    return method(config.method, backbone.model, backbone.num_features), backbone


def _baselines(config: RunConfig, evaluator: Evaluator, method: Method) -> tuple[Scores | None, Baselines]:
    if not config.monitor.baselines:
        return None, Baselines()
    random, pixels = evaluator.scores(method.encoder.backbone), evaluator.pixel_scores()
    if random is None or pixels is None:  # no labels
        return None, Baselines()
    return random, Baselines(
        pixels_knn_top1=pixels.knn_top1,
        pixels_linear_top1=pixels.probe.mean,
        random_encoder_knn_top1=random.knn_top1,
        random_encoder_linear_top1=random.probe.mean,
    )
