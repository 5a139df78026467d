"""The boxes of random resized crops, for a whole batch at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssl_zoo.augment.pixels import constant

__all__ = ["BOX_DRAWS", "boxes_from", "draw_corner", "draw_sides", "sample_boxes"]

ATTEMPTS = 10
BOX_DRAWS = 2 * ATTEMPTS + 2  # uniform values for each box


def sample_boxes(
    n: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Draws crop boxes with the distribution of torchvision's ``RandomResizedCrop.get_params``.

    Area and aspect ratio are drawn up to ten times until the box fits into the image; then the largest
    central box within the ratios is taken. Here all ten attempts of all images are drawn together, and
    the first that fits is used.

    Args:
        n: number of boxes.
        height: of the images, in pixels.
        width: of the images, in pixels.
        scale: smallest and largest fraction of the image's area.
        ratio: smallest and largest width / height.
        generator: source of the draws.
        device: where they are drawn; the generator's own device by default.

    Returns:
        (n, 4) int64, the rows being (top, left, height, width) in pixels.

    - [0] Going Deeper with Convolutions, 2014, https://arxiv.org/abs/1409.4842
    """
    u = torch.rand(BOX_DRAWS, n, generator=generator, device=device or generator.device)
    return boxes_from(u, height, width, scale, ratio)


def boxes_from(
    u: Tensor, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Returns the boxes of ``sample_boxes`` for u (BOX_DRAWS, n) uniform in [0, 1)."""
    n = u.shape[1]
    sides = draw_sides(u[:ATTEMPTS], u[ATTEMPTS:-2], height * width, scale, ratio)  # (2, 10, n)
    most = constant((height, width), u.device).view(2, 1, 1)

    fits = ((sides > 0) & (sides <= most)).all(dim=0)
    any_fits, first = fits.max(dim=0, keepdim=True)  # the first maximum: the first attempt that fits
    central = constant(_central(height, width, ratio), u.device).view(2, 1, 1)
    sides = torch.where(any_fits, sides.gather(1, first.expand(2, 1, n)), central)  # (2, 1, n)
    room = most - sides
    corner = torch.where(any_fits, draw_corner(u[-2:].unsqueeze(1), room), (room / 2).floor_())
    return torch.cat((corner, sides)).view(4, n).T.to(torch.int64)


def draw_sides(
    u: Tensor, v: Tensor, pixels: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Returns heights and widths (2, ...) of boxes whose area and log width / height are uniform.

    Args:
        u: uniform in [0, 1), for the area; any shape.
        v: likewise, for the aspect ratio.
        pixels: number in the image.
        scale: smallest and largest fraction of the pixels.
        ratio: smallest and largest width / height.
    """
    area = u.mul(scale[1] - scale[0]).add_(scale[0]).mul_(pixels)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = v.mul(high - low).add_(low).exp_()
    return torch.stack((area / aspect, area * aspect)).sqrt_().round_()


def draw_corner(u: Tensor, room: Tensor) -> Tensor:
    """Returns integers from 0 to `room`, equally likely, for u uniform in [0, 1)."""
    return torch.minimum((u * (room + 1)).floor_(), room)  # u near 1 may round up to 1


def _central(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Returns height and width of the largest box within the ratios."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width
