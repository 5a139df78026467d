"""Random resized crop of a batch, each image with its own box, as two batched matrix products.

Resampling is linear and separable: the result is ``Wy X Wx^T`` with a row of weights per output row and
column. Such products run on matrix units, on a CPU and on a GPU alike, and a flip costs nothing. Large 8-bit
images on a CPU are the exception: one by one, torchvision's resampling in 8 bits is faster. It is exact to a grey
level for the linear filter only; for the cubic one it clips the overshoot between its two passes.
"""

from __future__ import annotations

import functools
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ssl_zoo.augment.pixels import white

__all__ = ["Crop", "resized_crop"]

Interpolation = Literal["bilinear", "bicubic"]
TABLE = 2**22  # values: 16 MiB
LARGE = 2**13  # pixels of an image above which resampling costs less than the products


def resized_crop(
    images: Tensor,
    boxes: Tensor,
    flip: Tensor | None,
    size: int,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Crops each image to its box, resizes it with antialiasing and flips it where asked.

    Equals torchvision's ``F.resized_crop(..., antialias=True)`` on float images, then ``F.hflip``: to rounding, but
    to a grey level for large uint8 images on a CPU.

    Args:
        images: (N, C, H, W), uint8, uint16 or floats in [0, 1].
        boxes: (N, 4), rows (top, left, height, width) in pixels, inside the images.
        flip: (N,) bool, or None for no flips.
        size: side of the result in pixels.
        interpolation: triangle filter, or cubic filter (a = -0.5) clamped to [0, 1].

    Returns:
        (N, C, size, size) float32 in [0, 1].
    """
    height, width = images.shape[2:]
    return Crop(boxes, flip, height, width, size, interpolation)(images)


class Crop:
    """``resized_crop`` with given boxes, for images that come in several parts."""

    def __init__(
        self,
        boxes: Tensor,
        flip: Tensor | None,
        height: int,
        width: int,
        size: int,
        interpolation: Interpolation,
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.boxes, self.flip = boxes, flip
        top, left, box_height, box_width = boxes.unbind(1)  # each (N,)
        self.wx = _Weights(left, box_width, flip, width, size, interpolation)
        self.wy = _Weights(top, box_height, None, height, size, interpolation)

    def __call__(self, images: Tensor, start: int = 0) -> Tensor:
        """Crops images (n, C, H, W), whose boxes are those from ``start`` on."""
        n, channels, height, width = images.shape
        rows = slice(start, start + n)
        large = images.device.type == "cpu" and images.dtype == torch.uint8 and height * width > LARGE
        if large and self.interpolation == "bilinear":
            return self._resample(images, rows)
        x = images.to(torch.float32).reshape(n, channels * height, width)
        x = torch.bmm(x, self.wx(rows, white(images)).mT).view(n, channels, height, self.size)
        wy = self.wy(rows, 1)
        planes = x.new_empty(channels, n, self.size, self.size)
        for channel, plane in enumerate(planes):  # one product for all of them would repeat the weights
            torch.bmm(wy, x[:, channel], out=plane)
        planes = planes.clamp_(0, 1) if self.interpolation == "bicubic" else planes
        return planes.transpose(0, 1)

    def _resample(self, images: Tensor, rows: slice) -> Tensor:
        n, channels = images.shape[:2]
        planes = torch.empty(channels, n, self.size, self.size)
        flips = [False] * n if self.flip is None else self.flip[rows].tolist()
        boxes = self.boxes[rows].to(torch.int64).tolist()
        for i, ((top, left, height, width), flip) in enumerate(zip(boxes, flips, strict=True)):
            x = images[i : i + 1, :, top : top + height, left : left + width]
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)[0]
            planes[:, i] = x.flip(2) if flip else x
        return planes.mul_(1 / 255).transpose(0, 1)


class _Weights:
    """Resampling weights of one axis, for windows of ``length`` from ``start``, both (N,)."""

    def __init__(
        self,
        start: Tensor,
        length: Tensor,
        flip: Tensor | None,
        side: int,
        size: int,
        interpolation: Interpolation,
    ) -> None:
        self.start, self.length = start, length
        self.flip = torch.zeros_like(start, dtype=torch.bool) if flip is None else flip
        self.shape = (side, size, interpolation)
        self.index = None  # into the table
        if 2 * side**3 * size <= TABLE and not start.is_floating_point():
            first = start if flip is None else torch.add(start, flip, alpha=side)
            self.index = torch.add(length - 1, first, alpha=side)

    def __call__(self, rows: slice, white: int) -> Tensor:
        """Returns the weights (n, size, side) of some of the windows; they sum to 1 / white."""
        if self.index is None:
            return _filter(self.start[rows], self.length[rows], self.flip[rows], *self.shape, white)
        return _table(*self.shape, white, self.index.device).index_select(0, self.index[rows])


@functools.lru_cache(maxsize=8)
def _table(side: int, size: int, interpolation: Interpolation, white: int, device: torch.device) -> Tensor:
    """Returns the weights of all windows, (2 * side * side, size, side); a small image has few."""
    with torch.inference_mode(False):
        index = torch.arange(2 * side * side, device=device)
        start = index // side % side
        length = torch.minimum(index % side + 1, side - start)  # windows that reach outside are never used
        return _filter(start, length, index >= side * side, side, size, interpolation, white)


def _filter(
    start: Tensor,
    length: Tensor,
    flip: Tensor,
    side: int,
    size: int,
    interpolation: Interpolation,
    white: int,
) -> Tensor:
    start, length = start.unsqueeze(1).to(torch.float32), length.unsqueeze(1).to(torch.float32)  # (N, 1)
    output = torch.arange(size, device=start.device) + 0.5  # centres of the output pixels
    pixel = torch.arange(side, device=start.device) + 0.5  # centres of the input pixels
    output = torch.where(flip.unsqueeze(1), size - output, output)  # (N, size)
    step = length / size  # input pixels per output pixel
    narrow = step.clamp(min=1).reciprocal_()  # the filter widens only when downsampling
    centre = (start + step * output) * narrow  # (N, size)
    distance = ((pixel * narrow).unsqueeze(1) - centre.unsqueeze(2)).abs_()  # (N, size, side)
    weight = _triangle(distance) if interpolation == "bilinear" else _cubic(distance)
    inside = (pixel > start) & (pixel < start + length)  # (N, side)
    weight.mul_(inside.unsqueeze(1))
    return weight.div_(weight.sum(dim=2, keepdim=True).mul_(white))


def _triangle(d: Tensor) -> Tensor:
    return d.neg_().add_(1).clamp_(min=0)


def _cubic(d: Tensor, a: float = -0.5) -> Tensor:
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return torch.where(d < 1, near, torch.where(d < 2, far, 0))
