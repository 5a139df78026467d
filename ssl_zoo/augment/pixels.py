"""Pixel values: uint8 to floats in [0, 1], and normalisation by mean and standard deviation."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["constant", "normalize", "to_float"]


@functools.lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Returns the values as a float32 tensor. Cached, because copying a list to a GPU waits for it."""
    with torch.inference_mode(False):  # else a first call in validation would leave an inference tensor
        return torch.tensor(values, dtype=torch.float32, device=device)


def to_float(images: Tensor) -> Tensor:
    """Returns images as float32 in [0, 1]: uint8 is divided by 255, floats are assumed to be there already."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).mul_(1 / 255)
    return images.to(torch.float32)


def normalize(
    images: Tensor, mean: Sequence[float], std: Sequence[float], out: Tensor | None = None
) -> Tensor:
    """Computes ``(x - mean) / std`` per channel.

    Args:
        images: (N, C, H, W), uint8 or floats in [0, 1].
        mean: C values, of pixels in [0, 1].
        std: C values above 0.
        out: tensor for the result.

    Returns:
        A float32 tensor (N, C, H, W).
    """
    unit = 255 if images.dtype == torch.uint8 else 1
    gain = constant(tuple(1 / (unit * s) for s in std), images.device).view(-1, 1, 1)
    shift = constant(tuple(-m / s for m, s in zip(mean, std, strict=True)), images.device).view(-1, 1, 1)
    return torch.mul(images.to(torch.float32), gain, out=out).add_(shift)
