"""Random resized crop of a batch, each image with its own box, as two batched matrix products.

Resampling is linear and separable: the result is ``Wy X Wx^T`` with a row of weights per output row and
column. Such products run on matrix units, on a CPU and on a GPU alike, and a flip costs nothing.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor

__all__ = ["resized_crop"]

Interpolation = Literal["bilinear", "bicubic"]
TABLE = 2**22  # values: 16 MiB


def resized_crop(
    images: Tensor,
    boxes: Tensor,
    flip: Tensor | None,
    size: int,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Crops each image to its box, resizes it with antialiasing and flips it where asked.

    Equals torchvision's ``F.resized_crop(..., antialias=True)`` on float images, then ``F.hflip``.

    Args:
        images: (N, C, H, W), uint8 or floats in [0, 1].
        boxes: (N, 4), rows (top, left, height, width) in pixels, inside the images.
        flip: (N,) bool, or None for no flips.
        size: side of the result in pixels.
        interpolation: triangle filter, or cubic filter (a = -0.5) clamped to [0, 1].

    Returns:
        (N, C, size, size) float32 in [0, 1].
    """
    n, channels, height, width = images.shape
    top, left, box_height, box_width = boxes.unbind(1)  # each (N,)
    white = 255 if images.dtype == torch.uint8 else 1
    wx = _weights(left, box_width, flip, width, size, interpolation, white)  # (N, size, W)
    wy = _weights(top, box_height, None, height, size, interpolation, 1)  # (N, size, H)
    x = images.to(torch.float32).reshape(n, channels * height, width)
    x = torch.bmm(x, wx.mT).view(n, channels, height, size)
    x = torch.matmul(wy.unsqueeze(1), x)  # (N, C, size, size)
    return x.clamp_(0, 1) if interpolation == "bicubic" else x


def _weights(
    start: Tensor,
    length: Tensor,
    flip: Tensor | None,
    side: int,
    size: int,
    interpolation: Interpolation,
    white: int,
) -> Tensor:
    """Weights (N, size, side) of the pixels of one axis, for windows of ``length`` from ``start``, (N,).

    They sum to 1 / white.
    """
    if start.is_floating_point() or 2 * side**2 * size * side > TABLE:
        return _filter(start, length, flip, side, size, interpolation).div_(white)
    window = start * side + length - 1
    if flip is not None:
        window = window + flip * side**2
    return _table(side, size, interpolation, white, start.device).index_select(0, window)


@functools.lru_cache(maxsize=4)
def _table(side: int, size: int, interpolation: Interpolation, white: int, device: torch.device) -> Tensor:
    """Weights (2 * side * side, size, side) by flip, start and length - 1: small images have few windows."""
    with torch.inference_mode(False):
        window = torch.arange(2 * side * side, device=device)
        start = window // side % side
        length = torch.minimum(window % side + 1, side - start)  # windows that reach outside are never used
        return _filter(start, length, window >= side * side, side, size, interpolation).div_(white)


def _filter(
    start: Tensor, length: Tensor, flip: Tensor | None, side: int, size: int, interpolation: Interpolation
) -> Tensor:
    start, length = start.unsqueeze(1).to(torch.float32), length.unsqueeze(1).to(torch.float32)  # (N, 1)
    output = torch.arange(size, device=start.device) + 0.5  # centres of the output pixels
    pixel = torch.arange(side, device=start.device) + 0.5  # centres of the input pixels
    if flip is not None:
        output = torch.where(flip.unsqueeze(1), size - output, output)  # (N, size)
    step = length / size  # input pixels per output pixel
    narrow = step.clamp(min=1).reciprocal_()  # the filter widens only when downsampling
    centre = (start + step * output) * narrow  # (N, size)
    distance = (pixel * narrow).unsqueeze(1) - centre.unsqueeze(2)  # (N, size, side)
    weight = _triangle(distance.abs_()) if interpolation == "bilinear" else _cubic(distance.abs_())
    inside = (pixel > start) & (pixel < start + length)  # (N, side)
    weight.mul_(inside.unsqueeze(1))
    return weight.div_(weight.sum(dim=2, keepdim=True))


def _triangle(d: Tensor) -> Tensor:
    return d.neg_().add_(1).clamp_(min=0)


def _cubic(d: Tensor, a: float = -0.5) -> Tensor:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return torch.where(d < 1, near, torch.where(d < 2, far, 0))
