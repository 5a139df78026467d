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


def blend(
    images: Tensor, factor: Tensor, mean_weight: Tensor, gray_weight: Tensor, out: Tensor | None = None
) -> Tensor:
    """Computes ``clamp(f x + (1 - f) other)``, other being given by weights of the channels.

    Args:
        images: (N, C, H, W) floats in [0, 1].
        factor: f, (N, 1, 1), at least 0; 1 changes nothing.
        mean_weight: (N, 1, C), of each channel's mean in ``other``.
        gray_weight: (N, 1, C), of each channel in ``other``.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    x = images.flatten(2)  # (N, C, HW)
    mean = torch.bmm(mean_weight, x.mean(dim=2, keepdim=True))  # (N, 1, 1)
    other = torch.baddbmm(mean, gray_weight, x)  # (N, 1, HW)
    out = torch.empty_like(images) if out is None else out
    torch.lerp(other, x, factor, out=out.flatten(2))
    return out.clamp_(0, 1)


def blend_weights(operator: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Returns ``blend``'s weights of the mean and of the gray image, both (N, ..., 1, C).

    Args:
        operator: (N, ...) of BRIGHTNESS, CONTRAST and SATURATION.
        channels: C, 1 or 3.
    """
    luma = _luma(channels, operator.device)
    operator = operator[..., None, None]
    return (operator == CONTRAST) * luma, (operator == SATURATION) * luma


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
    luma = _luma(channels, images.device).expand(n, 1, channels)
    gray = torch.bmm(luma, images.flatten(2)).view(n, 1, height, width)
    return (torch.empty_like(images) if out is None else out).copy_(gray)


def solarize(images: Tensor, threshold: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Inverts the values of (N, C, H, W) at or above the threshold, one or (N,), as ``F.solarize``."""
    if isinstance(threshold, Tensor):
        threshold = threshold.view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 1 - images, images, out=out)


def _blend_all(images: Tensor, factor: Tensor, operator: int) -> Tensor:
    weights = blend_weights(torch.full_like(factor, operator), images.shape[1])
    return blend(images, factor.view(-1, 1, 1), *weights)


def _luma(channels: int, device: torch.device) -> Tensor:
    return constant((1.0,) if channels == 1 else (0.2989, 0.587, 0.114), device)
