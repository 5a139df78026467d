"""Backbones from timm, by name, without their classifier.

- [0] timm, https://github.com/huggingface/pytorch-image-models
- [1] zero-initialised residual branches: Goyal et al., 2017, https://arxiv.org/abs/1706.02677 (Sec. 5.1)
- [2] the small stem for small images: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import timm
import torch
from huggingface_hub import constants, get_session, try_to_load_from_cache
from torch import nn

from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.errors import UserError, suggest

__all__ = ["Backbone", "Fit", "build_backbone", "fit_small", "inspect_backbone", "single_pixel_fraction"]

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_TIMEOUT = 5.0  # seconds


class Backbone(NamedTuple):
    """Model that maps images (N, C, H, W) to features (N, num_features)."""

    model: nn.Module
    num_features: int
    strides_single_pixels: bool  # a convolution with stride > 1 gets 1 x 1 maps: see `hardware.device`


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


def build_backbone(
    config: BackboneConfig, channels: int, size: int, further_sizes: Iterable[int] = ()
) -> Backbone:
    """Builds a timm model.

    Args:
        config: name, stem, pretrained weights, initialisation.
        channels: of the images.
        size: side of the images in pixels; models of a fixed input size are built for it.
        further_sizes: sides of further images, as in multi-crop; a transformer interpolates its position embedding.

    Raises:
        UserError: no such model; it has no stem that could be made small; its weights cannot be fetched;
            it cannot read images of these sizes.
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
        _make_stem_small(model, config.name, channels)
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
    if config.pretrained:
        _announce_download(config.name)
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


def _announce_download(name: str) -> None:
    """Logs on stderr which weights of a timm model are about to be downloaded; nothing if they are in the cache.

    Without this huggingface_hub is silent, and tries for 50 seconds to reach a network that is not there.

    Raises:
        UserError: they are not in the cache, and the hub cannot be reached.
    """
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if known is None or not known.hf_hub_id:
        return
    identifier, _, revision = known.hf_hub_id.partition("@")
    files = (known.hf_hub_filename,) if known.hf_hub_filename else WEIGHT_FILES
    cached = (try_to_load_from_cache(identifier, file, revision=revision or None) for file in files)
    if any(isinstance(path, str) for path in cached):
        return
    sys.stderr.write(f"fetching the pretrained weights of '{name}': {identifier} from {constants.ENDPOINT}\n")
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception as error:  # the type depends on the hub's HTTP client
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"backbone.pretrained=true needs the weights {identifier}, which are not on this machine, and "
            f"{constants.ENDPOINT} cannot be reached ({reason}); "
            f"connect to the network (HTTPS_PROXY, HF_ENDPOINT), or fetch them elsewhere (hf download {identifier}) "
            f"into '{constants.HF_HUB_CACHE}', or set backbone.pretrained=false"
        ) from error


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


def inspect_backbone(model: nn.Module, name: str, channels: int, size: int) -> tuple[int, bool]:
    """Returns the width of the features and whether a strided convolution gets single pixels.

    Both are measured on an empty image: the width of some models differs from their `num_features`.

    Raises:
        UserError: the model cannot read images of this size.
    """
    try:
        features, sides = _encode_empty_image(model, channels, size)
    except Exception as error:
        raise UserError(
            f"backbone '{name}' cannot read {channels} x {size} x {size} images: {str(error).splitlines()[0]}; "
            "set another size (augment.size, augment.views.NAME.size) or choose another backbone"
        ) from error
    single = (side == 1 and max(conv.stride) > 1 and max(conv.kernel_size) > 1 for conv, side in sides)
    return int(features.shape[1]), any(single)


def single_pixel_fraction(model: nn.Module, channels: int, size: int) -> float | None:
    """Returns the fraction of a model's spatial convolutions that get maps of 1 x 1; None without any.

    Args:
        model: that reads images (1, channels, size, size).
        channels: of the images.
        size: pixels.
    """
    _, sides = _encode_empty_image(model, channels, size)
    single = [side == 1 for conv, side in sides if max(conv.kernel_size) > 1]
    return sum(single) / len(single) if single else None


def _encode_empty_image(
    model: nn.Module, channels: int, size: int
) -> tuple[torch.Tensor, list[tuple[nn.Conv2d, int]]]:
    """Returns the features of an empty image, and each convolution with the side of its map; modes are restored."""
    sides: list[tuple[nn.Conv2d, int]] = []

    def note_side(convolution: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(convolution, nn.Conv2d)
        sides.append((convolution, max(inputs[0].shape[2:])))

    hooks = [m.register_forward_pre_hook(note_side) for m in model.modules() if isinstance(m, nn.Conv2d)]
    modes = {module: module.training for module in model.modules()}
    device = next((parameter.device for parameter in model.parameters()), None)
    try:
        with torch.no_grad():
            return model.eval()(torch.zeros(1, channels, size, size, device=device)), sides
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
