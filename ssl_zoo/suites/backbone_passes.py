"""How often a training step passes an image through a backbone: counted, so that it is right for any method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from ssl_zoo.build import build
from ssl_zoo.config.compose import from_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.method import Encoder

__all__ = ["passes_per_image"]

IMAGES = 4


def passes_per_image(config: RunConfig | Path) -> float:
    """Forward passes of a training step, per image: 4 for BYOL, whose two views pass both of its encoders.

    Args:
        config: of a run, or its folder.
    """
    if isinstance(config, Path):
        config = from_mapping(yaml.safe_load((config / "config.yaml").read_text()))
    method, _ = build(config, config.data.channels)
    method.allocate(IMAGES)
    seen = 0

    def count(module: Any, inputs: tuple[Any, ...]) -> None:
        nonlocal seen
        seen += inputs[0].shape[0]

    for module in method.modules():
        if isinstance(module, Encoder):
            module.backbone.register_forward_pre_hook(count)
    views = [torch.rand(IMAGES, config.data.channels, view.size, view.size) for view in config.views]
    with torch.random.fork_rng():
        method.loss(views, torch.arange(IMAGES))
    return seen / IMAGES
