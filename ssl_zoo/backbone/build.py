"""A timm model by name, without its classifier, built as the configuration says.

- [0] zero-initialised residual branches: Goyal et al., 2017, https://arxiv.org/abs/1706.02677 (Sec. 5.1)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import timm
from torch import nn

from ssl_zoo.backbone.attention import check_num_heads
from ssl_zoo.backbone.inspection import inspect_backbone
from ssl_zoo.backbone.pretrained import announce_download
from ssl_zoo.backbone.small_images import make_stem_small
from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.errors import UserError, suggest

__all__ = ["Backbone", "build_backbone"]


class Backbone(NamedTuple):
    """Model that maps images (N, C, H, W) to features (N, num_features)."""

    model: nn.Module
    num_features: int
    strides_single_pixels: bool  # a convolution with stride > 1 gets 1 x 1 maps: see `hardware.device`


def build_backbone(
    config: BackboneConfig, channels: int, size: int, further_sizes: Iterable[int] = ()
) -> Backbone:
    """Builds a timm model.

    Args:
        config: name, stem, attention heads, pretrained weights, initialisation.
        channels: of the images.
        size: side of the images in pixels; models of a fixed input size are built for it.
        further_sizes: sides of further images, as in multi-crop; a transformer interpolates its position embedding.

    Raises:
        UserError: no such model; it has no stem that could be made small; its weights cannot be fetched;
            it cannot read images of these sizes, nor be built with that number of attention heads.
    """
    others = sorted(set(further_sizes) - {size})
    architecture = config.name.partition(".")[0]
    if not timm.is_model(architecture):
        known = timm.list_models()
        raise UserError(
            f"unknown backbone '{config.name}'; timm has {len(known)} models"
            f"{suggest(architecture, known) or ', see ssl-zoo list backbones'}"
        )
    model = _create(config, architecture, channels, size, any_size=bool(others))
    if config.stem == "small":
        make_stem_small(model, config.name, channels)
    if not config.pretrained:
        _set_last_bn(model, 0.0 if config.zero_init_last else 1.0)
    for other in others:
        inspect_backbone(model, config.name, channels, other)
    return Backbone(model, *inspect_backbone(model, config.name, channels, size))


def _create(config: BackboneConfig, architecture: str, channels: int, size: int, any_size: bool) -> nn.Module:
    options: dict[str, Any] = {}
    # Transformers and mixers are built for one image size; convolutional networks take any.
    default = timm.get_pretrained_cfg(config.name, allow_unregistered=True)
    if default is not None and default.fixed_input_size:
        options["img_size"] = size
        if any_size:
            options["dynamic_img_size"] = True
    if config.num_heads is not None:
        check_num_heads(config.name, config.num_heads)
        options["num_heads"] = config.num_heads
    if config.pretrained:
        announce_download(config.name)
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.CRITICAL)  # the hub logs each retry; the error below is enough
    try:
        model: nn.Module = timm.create_model(
            config.name, pretrained=config.pretrained, num_classes=0, in_chans=channels, **options
        )
    except Exception as error:
        if config.pretrained:
            fix = "check the network and the name of the weights, or set backbone.pretrained=false"
        else:
            fix = "choose another backbone or another augment.size"
            fix += ", or views of one size" if any_size else ""
        raise UserError(
            f"timm cannot build backbone '{config.name}' with backbone.pretrained={config.pretrained} for "
            f"{channels} x {size} x {size} images: {type(error).__name__}: {str(error).splitlines()[0]}; {fix}"
        ) from error
    finally:
        hub.setLevel(level)
    return model


def _set_last_bn(model: nn.Module, value: float) -> None:
    """Starts the last BN of each residual block at `value`, in models that have such blocks."""
    for block in model.modules():
        if hasattr(block, "zero_init_last"):
            last = getattr(block, "bn3", None) or getattr(block, "bn2", None)
            if last is not None and getattr(last, "weight", None) is not None:
                nn.init.constant_(last.weight, value)
