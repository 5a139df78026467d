"""How a backbone takes small images: at which size, and with which stem.

- [0] the small stem: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import timm
import torch
from torch import nn

from ssl_zoo.errors import UserError

__all__ = ["Fit", "fit_small", "make_stem_small"]


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


def make_stem_small(model: nn.Module, name: str, channels: int) -> None:
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
