"""A method as its seed makes it, and on its device."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from ssl_zoo.backbone import Backbone, build_backbone
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.hardware.device import Plan
from ssl_zoo.method import Method
from ssl_zoo.parts.matmul_conv import use_matmul_convolutions

__all__ = ["assemble", "build", "placed"]


def build(config: RunConfig, channels: int) -> tuple[Method, Backbone]:
    """The method as the seed makes it, and its backbone."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    return assemble(config, channels)


def assemble(config: RunConfig, channels: int) -> tuple[Method, Backbone]:
    """The method as the state of torch's generators makes it, and its backbone."""
    backbone = build_backbone(config.backbone, channels, config.augment.size)
    method = METHODS.get(config.method.name).load()
    return method(config.method, backbone.model, backbone.num_features), backbone


def placed(config: RunConfig, method: Method, hardware: Plan) -> Method:
    """The method on its device, in the layout and with the convolutions that train fastest there."""
    method = method.to(hardware.device)
    if hardware.device.type == "cpu" and hardware.precision == "bf16":
        use_matmul_convolutions(method)
    return method.to(memory_format=torch.channels_last) if config.trainer.channels_last else method
