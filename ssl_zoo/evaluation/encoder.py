"""The encoder that is evaluated: of a run, trained or not, or a plain timm model as a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from ssl_zoo.backbone import build_backbone, inspect_backbone
from ssl_zoo.config.schema import BackboneConfig, KnnMonitorConfig, ViewConfig
from ssl_zoo.evaluation.schema import EvalConfig
from ssl_zoo.evaluation.task import Subject
from ssl_zoo.run_dir.saved_run import SavedRun, digest_of

__all__ = ["build_subject"]


def build_subject(
    config: EvalConfig, run: SavedRun | None, views: tuple[ViewConfig, ...], device: torch.device
) -> Subject:
    """Builds the encoder with its preprocessing, on the device and in evaluation mode.

    Args:
        config: the settings of any evaluation of the command.
        run: the run of the encoder; None: a plain timm model.
        views: the augmentation of the images in pre-training.
        device: the device to build it on.

    Raises:
        UserError: a weight is missing or does not fit; timm cannot build the model or fetch its weights.
    """
    data = config.data or (None if run is None else run.config.data)
    channels = 3 if data is None else data.channels
    if run is None:
        title, backbone, identity, folder = _build_timm(config, channels)
    else:
        title, backbone, identity, folder = _load_run(config, run)
    width, strides = inspect_backbone(backbone, identity["backbone"], channels, config.size)
    mean, std = (
        (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD) if data is None else (tuple(data.mean), tuple(data.std))
    )
    identity |= {"digest": digest_of(backbone.state_dict()), "channels": channels, "mean": mean, "std": std}
    return Subject(
        title=title,
        backbone=backbone.to(device).to(memory_format=torch.channels_last).eval(),
        num_features=width,
        channels=channels,
        mean=mean,
        std=std,
        identity=identity,
        folder=folder,
        views=views,
        strides_single_pixels=strides,
        knn=KnnMonitorConfig() if run is None else run.config.monitor.knn,
    )


Loaded = tuple[str, nn.Module, dict[str, Any], Path]  # title, backbone, identity, folder


def _load_run(config: EvalConfig, run: SavedRun) -> Loaded:
    trained = config.weights == "trained"
    saved = run.config
    # A run that began from pretrained weights is not random before its training.
    weights = "pretrained" if not trained and saved.backbone.pretrained else config.weights
    identity: dict[str, Any] = {
        "run": str(run.folder),
        "checkpoint": run.path.name if trained else None,
        "method": saved.method.name,
        "trained_on": None if run.is_imported else saved.data.name,
        "seed": saved.seed,
        "epochs_trained": None if run.is_imported else run.position.epoch if trained else 0,
        "epochs_of_the_run": None if run.is_imported else saved.epochs,
        "backbone": saved.backbone.name,
        "stem": saved.backbone.stem,
        **_heads(saved.backbone),
        "weights": weights,
        "verdict": run.result.get("verdict") if trained and run.is_last and run.result else None,
    }
    state = "trained" if trained else "before its training"
    if trained and not run.is_finished:
        state = f"after {run.position.epoch} of {saved.epochs} epochs"
    return f"{run.title}, {state}", run.backbone(trained=trained, size=config.size), identity, run.folder


def _build_timm(config: EvalConfig, channels: int) -> Loaded:
    assert config.backbone is not None
    with isolate_rng():
        pl.seed_everything(config.seed, workers=True, verbose=False)
        backbone = build_backbone(config.backbone, channels, config.size).model.eval()
    name, weights = config.backbone.name, "pretrained" if config.backbone.pretrained else "random"
    seed = None if config.backbone.pretrained else config.seed
    identity = {
        "run": None,
        "backbone": name,
        "stem": config.backbone.stem,
        **_heads(config.backbone),
        "weights": weights,
        "seed": seed,
    }
    heads = "" if config.backbone.num_heads is None else f"-{config.backbone.num_heads}heads"
    title = f"{name}{heads} ({weights})" if seed is None else f"{name}{heads} ({weights}, seed {seed})"
    return title, backbone, identity, Path("runs") / f"timm-{name}{heads}-{weights}"


def _heads(backbone: BackboneConfig) -> dict[str, int]:
    """The number of attention heads, where it is not the model's own."""
    return {} if backbone.num_heads is None else {"num_heads": backbone.num_heads}
