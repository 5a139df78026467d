"""Affine maps about the centre, each image with its own rotation, translation, scale and shear."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["affine"]


def affine(
    images: Tensor,
    angle: Tensor,
    translate: Tensor,
    scale: Tensor,
    shear: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Maps each image, bilinear and 0 outside, as torchvision's ``F.affine(interpolation=BILINEAR)``.

    Args:
        images: (N, C, H, W) floats.
        angle: (N,) degrees, clockwise.
        translate: (N, 2) pixels to the right and down.
        scale: (N,) above 0.
        shear: (N, 2) degrees, along x and along y.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W).
    """
    height, width = images.shape[2:]
    rotation = torch.deg2rad(angle)
    sx, sy = torch.deg2rad(shear).unbind(1)
    # Output = R(angle) * scale * SHy * SHx * input + translate; sampling needs the inverse.
    a = torch.cos(rotation - sy) / torch.cos(sy)
    b = -a * torch.tan(sx) - torch.sin(rotation)
    c = torch.sin(rotation - sy) / torch.cos(sy)
    d = -c * torch.tan(sx) + torch.cos(rotation)
    inverse = torch.stack((d, -b, -c, a), dim=1).view(-1, 2, 2) / scale.view(-1, 1, 1)  # det(a b; c d) = 1
    shift = -inverse @ translate.unsqueeze(2)  # (N, 2, 1)
    pixels = torch.cat((inverse, shift), dim=2)  # (N, 2, 3), in pixels
    theta = torch.empty_like(pixels)  # in half sides, as grid_sample counts
    theta[:, 0] = pixels[:, 0]
    theta[:, 1] = pixels[:, 1]
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    theta[:, 0, 2] *= 2 / width
    theta[:, 1, 2] *= 2 / height
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)  # (N, H, W, 2)
    mapped = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return mapped if out is None else out.copy_(mapped)
