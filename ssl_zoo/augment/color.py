"""Brightness, contrast, saturation, grayscale and solarize, each image with its own parameter.

The first three are one formula, ``clamp(f x + (1 - f) other)``, with other = 0, the mean of the gray image,
or the gray image: so one blend serves a batch in which they are mixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.augment.pixels import constant

__all__ = [
    "BRIGHTNESS",
    "CONTRAST",
    "HUE",
    "SATURATION",
    "blend",
    "blend_weights",
    "brightness",
    "contrast",
    "grayscale",
    "saturation",
    "solarize",
]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # torchvision's numbering
LUMA = {1: (1.0,), 3: (0.2989, 0.587, 0.114)}  # by the number of channels; no other has a gray image


def blend(images: Tensor, weights: Tensor, out: Tensor | None = None) -> Tensor:
    """Computes ``clamp(f x + (1 - f) other)``, other being given by weights of the channels.

    Args:
        images: (N, C, H, W) floats in [0, 1].
        weights: (N, 3, C): f for each channel, then the weights in ``other`` of each channel's mean, and of
            each channel.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    x = images.flatten(2)  # (N, C, HW)
    factor, mean_weight, gray_weight = weights.split_with_sizes((1, 1, 1), dim=1)  # each (N, 1, C)
    mean = torch.bmm(mean_weight, x.mean(dim=2, keepdim=True))  # (N, 1, 1)
    other = torch.baddbmm(mean, gray_weight, x)  # (N, 1, HW)
    out = torch.empty_like(images) if out is None else out
    torch.lerp(other, x, factor.mT, out=out.flatten(2))
    return out.clamp_(0, 1)


def blend_weights(operator: Tensor, factor: Tensor, channels: int) -> Tensor:
    """Returns ``blend``'s weights (..., 3, C).

    Args:
        operator: (...) int64, of BRIGHTNESS, CONTRAST and SATURATION.
        factor: f, (...), at least 0; 1 changes nothing.
        channels: C, 1 or 3.
    """
    luma, nothing = LUMA[channels], (0.0,) * channels
    table = (nothing + nothing, luma + nothing, nothing + luma)  # of the means and the channels, by operator
    other = constant(sum(table, ()), factor.device).view(3, 2, channels)
    chosen = other.index_select(0, operator.flatten()).view(*operator.shape, 2, channels)
    factor = factor[..., None, None].expand(*factor.shape, 1, channels)
    return torch.cat((factor, chosen), dim=-2)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiplies each image (N, C, H, W) by its factor (N,), as torchvision's ``adjust_brightness``."""
    return _blend_all(images, factor, BRIGHTNESS)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blends each image with its mean gray by its factor (N,), as torchvision's ``adjust_contrast``."""
    return _blend_all(images, factor, CONTRAST)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blends each image with its gray version by its factor (N,), as torchvision's ``adjust_saturation``."""
    return _blend_all(images, factor, SATURATION)


def grayscale(images: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns the gray version of images (N, C, H, W), with as many channels, as ``rgb_to_grayscale``."""
    n, channels, height, width = images.shape
    luma = constant(LUMA[channels], images.device).expand(n, 1, channels)
    gray = torch.bmm(luma, images.flatten(2)).view(n, 1, height, width)
    return (torch.empty_like(images) if out is None else out).copy_(gray)


def solarize(images: Tensor, threshold: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Inverts the values of (N, C, H, W) at or above the threshold, one or (N,), as ``F.solarize``."""
    if isinstance(threshold, Tensor):
        threshold = threshold.view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 1 - images, images, out=out)


def _blend_all(images: Tensor, factor: Tensor, operator: int) -> Tensor:
    operators = torch.full_like(factor, operator, dtype=torch.int64)
    return blend(images, blend_weights(operators, factor, images.shape[1]))
