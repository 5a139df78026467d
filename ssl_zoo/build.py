"""A run's method as its seed makes it, the hardware that its configuration chooses, and the one moved to the other."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from timm.layers.patch_embed import PatchEmbed
from torch import nn

from ssl_zoo.backbone import Backbone, build_backbone
from ssl_zoo.config.compose import compose
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import Hardware, choose_hardware
from ssl_zoo.method import Method
from ssl_zoo.parts.matmul_conv import use_matmul_convolutions

__all__ = ["assemble", "build", "build_method", "hardware_for", "to_device"]


def build_method(overrides: tuple[str, ...] | list[str] = ()) -> Method:
    """Builds a method with its backbone, untrained: `ssl_zoo.build_method(["method=byol"])`.

    The number of channels and the image size follow `data.channels` and `augment.size`; the weights follow
    `seed`. A method with a memory needs `method.allocate(number of images)` before its first loss.
    """
    config = compose(overrides)
    return build(config, config.data.channels)[0]


def build(config: RunConfig, channels: int) -> tuple[Method, Backbone]:
    """Builds the method as the seed makes it; returns it and its backbone."""
    pl.seed_everything(config.seed, workers=True, verbose=False)
    return assemble(config, channels)


def assemble(config: RunConfig, channels: int) -> tuple[Method, Backbone]:
    """Builds the method as the state of torch's generators makes it; returns it and its backbone."""
    sizes = (view.size for view in config.views)
    backbone = build_backbone(config.backbone, channels, config.augment.size, sizes)
    if config.backbone.freeze_patch_embedding:
        _freeze_patch_embedding(backbone.model, config.backbone.name)
    method = METHODS.get(config.method.name).load()
    return method(config.method, backbone.model, backbone.num_features), backbone


def _freeze_patch_embedding(model: nn.Module, name: str) -> None:
    """Makes the projection of a transformer's patches a constant: MoCo v3's code, vits.py, `stop_grad_conv1`."""
    embedding = getattr(model, "patch_embed", None)
    if not isinstance(embedding, PatchEmbed):
        raise UserError(
            f"backbone.freeze_patch_embedding=true freezes a transformer's patch embedding; '{name}' has none; set "
            "backbone.freeze_patch_embedding=false or choose a ViT, for instance backbone.name=vit_small_patch16_224"
        )
    embedding.proj.requires_grad_(False)


def hardware_for(config: RunConfig, *, strides_single_pixels: bool = False) -> Hardware:
    """Decides device, precision and whether to compile, as `choose_hardware` does.

    Args:
        config: of the run.
        strides_single_pixels: whether the backbone has a strided convolution over 1 x 1 maps.
    """
    return choose_hardware(
        config.trainer.accelerator,
        config.precision,
        strider=config.backbone.name if strides_single_pixels else None,
        size=config.augment.size,
        compiles=config.compile is True,  # auto: see COMPILE
    )


def to_device(config: RunConfig, method: Method, hardware: Hardware) -> Method:
    """Moves the method to its device, in the layout and with the convolutions that train fastest there."""
    method = method.to(hardware.device)
    if hardware.device.type == "cpu" and hardware.precision == "bf16":
        use_matmul_convolutions(method)
    return method.to(memory_format=torch.channels_last) if config.trainer.channels_last else method
