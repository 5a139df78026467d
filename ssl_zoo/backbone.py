"""Backbones from timm, by name, without their classifier.

- [0] timm, https://github.com/huggingface/pytorch-image-models
- [1] zero-initialised residual branches: Goyal et al., 2017, https://arxiv.org/abs/1706.02677 (Sec. 5.1)
- [2] the small stem for small images: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9)
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import timm
import torch
from torch import nn

from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.errors import UserError, suggest
from ssl_zoo.weights import announce

__all__ = ["Backbone", "Fit", "build_backbone", "fit_small", "look_at"]


class Backbone(NamedTuple):
    """A model that maps images (N, C, H, W) to features (N, num_features)."""

    model: nn.Module
    num_features: int
    strides_single_pixels: bool  # a convolution with stride > 1 sees 1 x 1 maps: see `training.hardware`


class Fit(NamedTuple):
    """Size and stem with which a backbone takes small images."""

    size: int  # side of the views in pixels
    stem: Literal["standard", "small"]


@lru_cache(maxsize=64)
def fit_small(name: str, side: int) -> Fit | None:
    """Returns how a timm model takes images of a small side: at that side, with the small stem where it is a ResNet.

    A transformer or mixer takes the next multiple of its patches. Nothing is computed: the weights are torch's meta.

    Returns:
        None if there is no such model, or timm cannot build it for such images.
    """
    if not timm.is_model(name.partition(".")[0]):
        return None
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    fixed = default is not None and default.fixed_input_size
    try:
        with torch.device("meta"), torch.no_grad():
            model = timm.create_model(name, num_classes=0)
            if not fixed:
                return Fit(side, "small" if _has_residual_stem(model) else "standard")
            patches = (getattr(module, "patch_size", None) for module in model.modules())
            patch = max(next(filter(None, patches), (16,)))
            size = -(-side // patch) * patch
            model = timm.create_model(name, num_classes=0, img_size=size)
            model.eval()(torch.zeros(1, 3, size, size))
    except Exception:  # whatever a model makes of images that it was not built for
        return None
    return Fit(size, "standard")


def build_backbone(config: BackboneConfig, channels: int, size: int) -> Backbone:
    """Builds a timm model.

    Args:
        config: name, stem, pretrained weights, initialisation.
        channels: of the images.
        size: side of the images in pixels; models of a fixed input size are built for it.

    Raises:
        UserError: no such model; it has no stem that could be made small; its weights cannot be fetched;
            it cannot read images of this size.
    """
    architecture = config.name.partition(".")[0]
    if not timm.is_model(architecture):
        known = timm.list_models()
        raise UserError(
            f"unknown backbone '{config.name}'; timm has {len(known)} models"
            f"{suggest(architecture, known) or ', see ssl-zoo list backbones'}"
        )
    model = _create(config, architecture, channels, size)
    if config.stem == "small":
        _make_stem_small(model, config.name, channels)
    if not config.pretrained:
        _set_last_bn(model, 0.0 if config.zero_init_last else 1.0)
    return Backbone(model, *look_at(model, config.name, channels, size))


def _create(config: BackboneConfig, architecture: str, channels: int, size: int) -> nn.Module:
    options: dict[str, Any] = {}
    # Transformers and mixers are built for one image size; convolutional networks take any.
    default = timm.get_pretrained_cfg(config.name, allow_unregistered=True)
    if default is not None and default.fixed_input_size:
        options["img_size"] = size
    if config.pretrained:
        announce(config.name)
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.CRITICAL)  # it logs each retry; one message of ours says it all
    try:
        model: nn.Module = timm.create_model(
            config.name, pretrained=config.pretrained, num_classes=0, in_chans=channels, **options
        )
    except Exception as error:
        if config.pretrained:
            fix = "check the network and the name of the weights, or set backbone.pretrained=false"
        else:
            fix = "choose another backbone or another augment.size"
        raise UserError(
            f"timm cannot build backbone '{config.name}' with backbone.pretrained={config.pretrained} for "
            f"{channels} x {size} x {size} images: {type(error).__name__}: {str(error).splitlines()[0]}; {fix}"
        ) from error
    finally:
        hub.setLevel(level)
    return model


def _make_stem_small(model: nn.Module, name: str, channels: int) -> None:
    """Replaces the strided stem of a residual network: 3x3, stride 1, no max-pool."""
    if not _has_residual_stem(model):
        raise UserError(
            f"backbone.stem=small replaces a ResNet's 7x7 convolution and max-pool; '{name}' has no such stem; "
            "set backbone.stem=standard or choose a ResNet, for instance backbone.name=resnet18"
        )
    norm: Any = model.bn1
    model.conv1 = nn.Conv2d(channels, norm.num_features, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()


def _has_residual_stem(model: nn.Module) -> bool:
    first = getattr(model, "conv1", None)
    return (
        isinstance(first, (nn.Conv2d, nn.Sequential)) and hasattr(model, "bn1") and hasattr(model, "maxpool")
    )


def _set_last_bn(model: nn.Module, value: float) -> None:
    """Starts the last BN of each residual block at `value`, in models that have such blocks."""
    for block in model.modules():
        if hasattr(block, "zero_init_last"):
            last = getattr(block, "bn3", None) or getattr(block, "bn2", None)
            if last is not None and getattr(last, "weight", None) is not None:
                nn.init.constant_(last.weight, value)


def look_at(model: nn.Module, name: str, channels: int, size: int) -> tuple[int, bool]:
    """The width of the features, seen rather than trusted (some models widen after `num_features`), and
    whether a strided convolution sees single pixels."""
    single: list[bool] = []

    def look(convolution: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(convolution, nn.Conv2d)
        strided = max(convolution.stride) > 1 and max(convolution.kernel_size) > 1
        single.append(strided and max(inputs[0].shape[2:]) == 1)

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if isinstance(m, nn.Conv2d)]
    was_training = model.training
    try:
        with torch.no_grad():
            features = model.eval()(torch.zeros(1, channels, size, size))
    except Exception as error:
        raise UserError(
            f"backbone '{name}' cannot read {channels} x {size} x {size} images: {str(error).splitlines()[0]}; "
            "set a larger augment.size or choose another backbone"
        ) from error
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return int(features.shape[1]), any(single)
