"""Pixel values: uint8 and uint16 to floats in [0, 1], and normalisation by mean and standard deviation."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["constant", "joined", "normalize", "to_float", "white"]


@functools.lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Returns the values as a float32 tensor. Cached, because copying a list to a GPU waits for it."""
    with torch.inference_mode(False):  # else a first call in validation would leave an inference tensor
        return torch.tensor(values, dtype=torch.float32, device=device)


def joined(batches: Sequence[Tensor]) -> Tensor:
    """Joins batches (N, C, H, W); those of 16 bits as signed integers, for which every device has the operation."""
    if batches[0].dtype == torch.uint16:
        return torch.cat([batch.view(torch.int16) for batch in batches]).view(torch.uint16)
    return torch.cat(list(batches))


def white(images: Tensor) -> int:
    """Returns the value of white: 255 of uint8, 65535 of uint16, 1 of floats."""
    return {torch.uint8: 255, torch.uint16: 65535}.get(images.dtype, 1)


def to_float(images: Tensor) -> Tensor:
    """Returns images as float32 in [0, 1]: integers are divided by their white, floats are there already."""
    if (most := white(images)) > 1:
        return images.to(torch.float32).mul_(1 / most)
    return images.to(torch.float32)


def normalize(
    images: Tensor, mean: Sequence[float], std: Sequence[float], out: Tensor | None = None
) -> Tensor:
    """Computes ``(x - mean) / std`` per channel.

    Args:
        images: (N, C, H, W), uint8, uint16 or floats in [0, 1].
        mean: C values, of pixels in [0, 1].
        std: C values above 0.
        out: tensor for the result.

    Returns:
        A float32 tensor (N, C, H, W).
    """
    unit = white(images)
    gain = constant(tuple(1 / (unit * s) for s in std), images.device).view(-1, 1, 1)
    shift = constant(tuple(-m / s for m, s in zip(mean, std, strict=True)), images.device).view(-1, 1, 1)
    return torch.mul(images.to(torch.float32), gain, out=out).add_(shift)
