"""Hue rotation by an angle per image, without leaving RGB.

Let M and m be the largest and the smallest channel and c = M - m; a rotation keeps all three. Forward by e
sixths of the colour circle, 0 <= e <= 1,

    r' = clamp(r - g + (M + m) / 2 + sign(g - b) (1/2 - e) c, m, M)

and likewise g' and b', with the channels permuted cyclically. Backward, -1 <= e < 0, g and b are exchanged:

    r' = clamp(r - b + (M + m) / 2 - sign(g - b) (1/2 - |e|) c, m, M)

A larger angle adds a multiple of a third of the circle, which permutes the channels cyclically. To see it, follow
the hexagon of equal M and m: from red through yellow (r = M; g rises), to green (g = M; r falls), cyan,
blue, magenta. This is torchvision's RGB -> HSV -> RGB, to rounding, in a tenth of the time: there is no
division and no case for each sixth of the circle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.augment.per_image import Step
from ssl_zoo.augment.pixels import constant

__all__ = ["hue", "hue_steps"]


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Rotates the hue of each image, as torchvision's ``adjust_hue``; one channel has none and stays.

    Args:
        images: (N, C, H, W) floats in [0, 1], C = 1 or 3.
        shift: (N,) in [-0.5, 0.5], in turns of the colour circle.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    images = images.clone()
    if images.shape[1] == 3:
        for step in hue_steps(torch.ones_like(shift, dtype=torch.bool), shift):
            images = step(images)
    return images


def hue_steps(on: Tensor, shift: Tensor) -> list[Step]:
    """Returns the steps of ``hue``, for three channels: the sixths of the circle, then its thirds.

    Args:
        on: (N,) bool, the images that change.
        shift: (N,) in [-0.5, 0.5], in turns of the colour circle.
    """
    thirds = (3 * shift).round()  # -2 to 2
    e = torch.sub(6 * shift, thirds, alpha=2).unsqueeze(1)  # -1 to 1
    half = torch.copysign(constant((0.5,), e.device), e)
    steps = [Step(_rotate, on, 0.5 - half, half - e)]
    if on.device.type != "cpu" or thirds.any():
        channels = torch.arange(3, device=shift.device)
        source = (channels - thirds.unsqueeze(1)).remainder_(3).to(torch.int64)  # (N, 3)
        steps.append(Step(_permute, on & (thirds != 0), source.view(-1, 3, 1, 1)))
    return steps


def _rotate(images: Tensor, backward: Tensor, middle: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotates by up to a sixth of the circle; `backward` is 1 or 0, `middle` +-(1/2 - |e|), both (N, 1)."""
    out = torch.empty_like(images) if out is None else out
    x, y = images.transpose(0, 1).flatten(2), out.transpose(0, 1).flatten(2)  # (3, N, HW)
    r, g, b = x.unbind()
    largest = torch.maximum(r, g)
    torch.maximum(largest, b, out=largest)
    smallest = torch.minimum(r, g)
    torch.minimum(smallest, b, out=smallest)
    chroma = largest - smallest
    level = torch.add(smallest, chroma, alpha=0.5)
    chroma.mul_(middle)
    edges = x.new_empty(4, *r.shape)  # r - g, g - b, b - r, r - g
    torch.sub(x[:2], x[1:], out=edges[:2])
    torch.sub(b, r, out=edges[2])
    edges[3] = edges[0]
    near, far = edges[:3], edges[1:]
    torch.addcmul(near, far, backward, out=y).add_(level)  # r - b = (r - g) + (g - b)
    y.addcmul_(far.sign(), chroma)
    torch.clamp(y, smallest, largest, out=y)
    return out


def _permute(images: Tensor, source: Tensor, out: Tensor | None = None) -> Tensor:
    """Takes each channel from another one, `source` (N, 3, 1, 1)."""
    permuted = images.take_along_dim(source, dim=1)
    return permuted if out is None else out.copy_(permuted)
