"""Sobel filter: replaces an image by its edges."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["sobel"]


def sobel(images: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns the gradient's magnitude ``sqrt(gx^2 + gy^2)`` of each channel, with replicated borders.

    The kernels are Sobel's divided by 8, as in kornia's ``filters.sobel(normalized=True)``, without its 1e-6
    under the root. A gradient is then in [-1/2, 1/2], and the magnitude at most 1/sqrt(2).

    Args:
        images: (N, C, H, W) floats in [0, 1].
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].

    - [0] Kornia, 2019, https://arxiv.org/abs/1910.02190
    """
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")  # (N, C, H + 2, W + 2)
    gx = _smooth(padded[..., 2:] - padded[..., :-2], 2)  # (N, C, H, W)
    gy = _smooth(padded[..., 2:, :] - padded[..., :-2, :], 3)
    return torch.sqrt(gx.square_().addcmul_(gy, gy), out=out).mul_(1 / 8)


def _smooth(x: Tensor, dim: int) -> Tensor:
    """Sums neighbours weighted (1, 2, 1) along a dimension, which gets shorter by 2."""
    inner = x.shape[dim] - 2
    before, middle, after = (x.narrow(dim, start, inner) for start in range(3))
    return torch.add(before, middle, alpha=2).add_(after)
