"""Hue rotation by an angle per image, without leaving RGB.

With M and m the largest and smallest channel, c = M - m, and the hue h measured from red in sixths of the
circle, -3 to 3:

    |h| = a (3 - 2 d) + d,   a = (M - r) / c,   d = |g - b| / c,   sign(h) = sign(g - b)

which needs no case distinction between the sextants: d = 1 wherever red is neither largest nor smallest,
a = 0 where it is largest, a = 1 where it is smallest. Rotated, t = h / 6 + shift (mod 1), the channels are

    r = clamp(|6 t - 3| - 1),   g = clamp(2 - |6 t - 2|),   b = clamp(2 - |6 t - 4|)

each times c plus m. These are torchvision's RGB -> HSV -> RGB in far fewer operations.
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
    r, g, b = images.unbind(1)  # (N, H, W)
    largest = torch.maximum(torch.maximum(r, g), b)
    smallest = torch.minimum(torch.minimum(r, g), b)
    chroma = largest - smallest
    inverse = chroma.clamp(min=1e-12).reciprocal_()  # gray pixels: a = d = 0, and c = 0 below
    across = g - b
    a = (largest - r).mul_(inverse)
    d = inverse.mul_(across).abs_()
    h = torch.addcmul(d, a, torch.rsub(d, 3, alpha=2)).copysign_(across)
    t = torch.add(shift.view(-1, 1, 1) + 1, h, alpha=1 / 6).frac_()  # + 1: frac wants it positive

    low = smallest - chroma
    high = torch.add(smallest, chroma, alpha=2)
    for channel, (base, centre, slope) in enumerate(((low, 1 / 2, 6), (high, 1 / 3, -6), (high, 2 / 3, -6))):
        wave = torch.addcmul(base, (t - centre).abs_(), chroma, value=slope)
        torch.clamp(wave, smallest, largest, out=out[:, channel])
    return out
