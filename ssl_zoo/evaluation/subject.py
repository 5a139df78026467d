"""The encoder that is evaluated: of a run, trained or not, or a plain timm model as a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from timm.data.config import resolve_model_data_config
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from ssl_zoo.backbone import build_backbone, look_at
from ssl_zoo.evaluation.schema import EvalConfig
from ssl_zoo.evaluation.task import Subject
from ssl_zoo.saved import SavedRun

__all__ = ["subject_of"]


def subject_of(config: EvalConfig, run: SavedRun | None, device: torch.device) -> Subject:
    """The encoder with its preprocessing, on the device and in evaluation mode.

    Raises:
        UserError: a weight is missing or does not fit; timm cannot build the model or fetch its weights.
    """
    return _of_timm(config, device) if run is None else _of_run(config, run, device)


def _of_run(config: EvalConfig, run: SavedRun, device: torch.device) -> Subject:
    trained = config.weights == "trained"
    saved = run.config
    backbone = run.backbone(trained=trained, size=config.size)
    identity: dict[str, Any] = {
        "run": str(run.folder),
        "checkpoint": run.path.name,
        "method": saved.method.name,
        "trained_on": saved.data.name,
        "seed": saved.seed,
        "epochs_trained": run.position.epoch if trained else 0,
        "epochs_of_the_run": saved.epochs,
        "backbone": saved.backbone.name,
        "stem": saved.backbone.stem,
        "weights": config.weights,
        "digest": run.digest if trained else None,
        "verdict": None if run.result is None else run.result.get("verdict"),
    }
    title = f"{run.title}, {'trained' if trained else 'before its training'}"
    data = config.data or saved.data
    width, strides = look_at(backbone, saved.backbone.name, data.channels, config.size)
    return Subject(
        title=title,
        backbone=_placed(backbone, device),
        num_features=width,
        strides_single_pixels=strides,
        channels=data.channels,
        mean=data.mean,
        std=data.std,
        identity=identity,
        folder=run.folder,
        views=saved.augment.flat,
    )


def _of_timm(config: EvalConfig, device: torch.device) -> Subject:
    assert config.backbone is not None
    channels = 3
    mean: tuple[float, ...] = IMAGENET_DEFAULT_MEAN
    std: tuple[float, ...] = IMAGENET_DEFAULT_STD
    if config.data is not None:
        channels, mean, std = config.data.channels, config.data.mean, config.data.std
    with isolate_rng():
        pl.seed_everything(config.seed, workers=True, verbose=False)
        built = build_backbone(config.backbone, channels, config.size)
    if config.backbone.pretrained:
        own = resolve_model_data_config(built.model)  # type: ignore[no-untyped-call]
        if len(own["mean"]) == channels:
            mean, std = tuple(own["mean"]), tuple(own["std"])
    weights = "pretrained" if config.backbone.pretrained else "random"
    name = config.backbone.name
    seeded = "" if config.backbone.pretrained else f", seed {config.seed}"
    return Subject(
        title=f"{name} ({weights}{seeded})",
        backbone=_placed(built.model.eval(), device),
        num_features=built.num_features,
        strides_single_pixels=built.strides_single_pixels,
        channels=channels,
        mean=mean,
        std=std,
        identity={
            "run": None,
            "backbone": name,
            "stem": config.backbone.stem,
            "weights": weights,
            "seed": config.seed,
        },
        folder=Path("runs") / f"timm-{name}-{weights}",
    )


def _placed(backbone: nn.Module, device: torch.device) -> nn.Module:
    return backbone.to(device).to(memory_format=torch.channels_last).eval()
