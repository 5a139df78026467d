"""Brightness, contrast, saturation, grayscale and solarize, each image with its own parameter.

The first three are one formula, ``clamp(f x + (1 - f) other)``, with other = 0, the mean of the gray image,
or the gray image. So they are all ``clamp(A x + w mean(x))``, A being a matrix of the channels and w weights of
their means, and one product serves a batch in which they are mixed.
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
LUMA = {1: (1.0,), 3: (0.2989, 0.587, 0.114)}  # by the number of channels
IDENTITY = {1: (1.0,), 3: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}


def blend(images: Tensor, matrix: Tensor, mean_weight: Tensor, out: Tensor | None = None) -> Tensor:
    """Computes ``clamp(A x + w mean(x))``.

    Args:
        images: (N, C, H, W) floats in [0, 1].
        matrix: A, (N, C, C).
        mean_weight: w, (N, 1, C), of each channel's mean.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    x = images.flatten(2)  # (N, C, HW)
    mean = torch.bmm(mean_weight, x.mean(dim=2, keepdim=True))  # (N, 1, 1)
    blended = torch.bmm(matrix, x).add_(mean).view(images.shape)
    return torch.clamp(blended, 0, 1, out=out)


def blend_weights(operator: Tensor, factor: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Returns ``blend``'s A (..., C, C) and w (..., 1, C).

    Args:
        operator: (...) of BRIGHTNESS, CONTRAST and SATURATION.
        factor: f, (...), at least 0; 1 changes nothing.
        channels: C, 1 or 3.
    """
    luma = constant(LUMA[channels], factor.device)
    factor, operator = factor[..., None, None], operator[..., None, None]
    other = (1 - factor) * luma  # (..., 1, C)
    identity = constant(IDENTITY[channels], factor.device).view(channels, channels)
    return factor * identity + (operator == SATURATION) * other, (operator == CONTRAST) * other


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
    n, channels = images.shape[:2]
    luma = constant(LUMA[channels], images.device).expand(n, channels, channels)
    gray = torch.bmm(luma, images.flatten(2)).view(images.shape)
    return gray if out is None else out.copy_(gray)


def solarize(images: Tensor, threshold: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Inverts the values of (N, C, H, W) at or above the threshold, one or (N,), as ``F.solarize``."""
    if isinstance(threshold, Tensor):
        threshold = threshold.view(-1, 1, 1, 1)
    return torch.where(images >= threshold, 1 - images, images, out=out)


def _blend_all(images: Tensor, factor: Tensor, operator: int) -> Tensor:
    operators = torch.full_like(factor, operator)
    return blend(images, *blend_weights(operators, factor, images.shape[1]))
