"""Hue rotation by an angle per image, without leaving RGB.

Let M and m be the largest and the smallest channel and c = M - m; a rotation keeps all three. Forward by e
sixths of the colour circle, 0 <= e <= 1,

    r' = clamp(r - g + (M + m) / 2 + sign(g - b) (1/2 - e) c, m, M)

and likewise g' and b', with the channels moved round. Backward, -1 <= e < 0, g and b change places in it:

    r' = clamp(r - b + (M + m) / 2 - sign(g - b) (1/2 - |e|) c, m, M)

Any further angle is a multiple of a third of the circle more, which moves the channels round. To see it, walk
round the hexagon of equal M and m: from red through yellow (r = M; g rises), to green (g = M; r falls), cyan,
blue, magenta. This is torchvision's RGB -> HSV -> RGB, to rounding, in a tenth of the time: there is no
division and no case for each sixth of the circle.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["hue"]


def hue(images: Tensor, shift: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotates the hue of each image, as torchvision's ``adjust_hue``; one channel has none and stays.

    Args:
        images: (N, C, H, W) floats in [0, 1], C = 1 or 3.
        shift: (N,) in [-0.5, 0.5], in turns of the colour circle.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    out = torch.empty_like(images) if out is None else out
    if images.shape[1] == 1:
        return out.copy_(images)
    thirds = (3 * shift).round()  # -2 to 2
    e = 6 * shift - 2 * thirds  # -1 to 1
    backward = (e < 0).to(images.dtype).view(-1, 1, 1)
    middle = (torch.where(e < 0, -1, 1) * (0.5 - e.abs())).view(-1, 1, 1)

    r, g, b = images.unbind(1)  # (N, H, W)
    largest = torch.maximum(r, g)
    largest = torch.maximum(largest, b)
    smallest = torch.minimum(r, g)
    smallest = torch.minimum(smallest, b)
    chroma = largest - smallest
    level = torch.add(smallest, chroma, alpha=0.5)
    chroma.mul_(middle)
    rg, gb, br = r - g, g - b, b - r
    for channel, (near, far) in enumerate(((rg, gb), (gb, br), (br, rg))):
        moved = torch.addcmul(near, far, backward).add_(level)  # r - b = (r - g) + (g - b)
        moved.addcmul_(far.sign(), chroma)
        torch.clamp(moved, smallest, largest, out=out[:, channel])
    if out.device.type == "cpu" and not thirds.any():
        return out
    source = (
        (torch.arange(3, device=out.device) - thirds.unsqueeze(1)).remainder_(3).to(torch.int64)
    )  # (N, 3)
    return out.copy_(out.take_along_dim(source.view(-1, 3, 1, 1), dim=1))
