"""Cutout: one box of each image set to a constant.

- [0] Improved Regularization of Convolutional Neural Networks with Cutout, 2017, https://arxiv.org/abs/1708.04552
- [1] Random Erasing Data Augmentation, 2017, https://arxiv.org/abs/1708.04896
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.augment.boxes import draw_corner, draw_sides
from ssl_zoo.augment.pixels import constant

__all__ = ["CUTOUT_DRAWS", "cutout", "cutouts_from", "sample_cutouts"]

CUTOUT_DRAWS = 4  # uniform values for each box


def sample_cutouts(
    n: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Draws boxes as torchvision's ``RandomErasing`` does: area, log aspect ratio and position are uniform.

    torchvision draws again where a box doesn't fit into the image; here such a box is cut to the image's
    side, so that there is one draw for all. It is rare: the area is that large only near the ends of both ranges.

    Args:
        n: number of boxes.
        height: of the images, in pixels.
        width: of the images, in pixels.
        scale: smallest and largest fraction of the image's area.
        ratio: smallest and largest width / height.
        generator: source of the draws.
        device: where they are drawn; the generator's own device by default.

    Returns:
        (n, 4) int64, the rows being (top, left, height, width) in pixels; a side may be 0.
    """
    u = torch.rand(CUTOUT_DRAWS, n, generator=generator, device=device or generator.device)
    return cutouts_from(u, height, width, scale, ratio)


def cutouts_from(
    u: Tensor, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Returns the boxes of ``sample_cutouts`` for u (CUTOUT_DRAWS, n) uniform in [0, 1)."""
    most = constant((height, width), u.device).unsqueeze(1)
    sides = torch.minimum(draw_sides(u[0], u[1], height * width, scale, ratio), most)  # (2, n)
    corner = draw_corner(u[2:], most - sides)
    return torch.cat((corner, sides)).T.to(torch.int64)


def cutout(images: Tensor, boxes: Tensor, fill: Tensor, out: Tensor | None = None) -> Tensor:
    """Sets one box of each image to a value per channel.

    Args:
        images: (N, C, H, W) floats.
        boxes: (N, 4), rows (top, left, height, width) in pixels.
        fill: (C,).
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W).
    """
    height, width = images.shape[2:]
    top, left, box_height, box_width = boxes.view(-1, 4, 1, 1, 1).unbind(1)  # each (N, 1, 1, 1)
    y = torch.arange(height, device=images.device).unsqueeze(1)  # (H, 1)
    x = torch.arange(width, device=images.device)  # (W,)
    rows = (y >= top) & (y < top + box_height)  # (N, 1, H, 1)
    columns = (x >= left) & (x < left + box_width)  # (N, 1, 1, W)
    return torch.where(rows & columns, fill.view(-1, 1, 1), images, out=out)
