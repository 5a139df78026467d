"""TensorFlow's brightness, contrast and saturation, which the official code of SimCLR and BYOL uses.

Differences from torchvision's, in ``color``; all results are clamped to [0, 1]:

    contrast      f x + (1 - f) m_c          m_c is the mean of the channel itself, not of the gray image
    saturation    s' = min(f s, 1) in HSV    not a blend with the gray image
    brightness    x + f - 1 in BYOL's        f x in SimCLR's, as in torchvision

A change of saturation keeps hue and V, the largest channel. With m the smallest, s = (V - m) / V, so it multiplies
each channel's distance to V by s' / s = min(f, V / (V - m)). All three then are ``other + g (x - other) + offset``,
and one formula serves a batch in which they are mixed.

- [0] SimCLR, data_util.py, https://github.com/google-research/simclr
- [1] BYOL, utils/augmentations.py, https://github.com/google-deepmind/deepmind-research/tree/master/byol
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ssl_zoo.augment.color import BRIGHTNESS, CONTRAST, SATURATION

__all__ = ["tensorflow_blend", "tensorflow_weights"]


def tensorflow_blend(images: Tensor, weights: Tensor, out: Tensor | None = None) -> Tensor:
    """Computes the operations at the head of this file, a different one for each image.

    Args:
        images: (N, C, H, W) floats in [0, 1]; a saturation of C = 1 or 3.
        weights: (N, 4), of ``tensorflow_weights``.
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    x = images.flatten(2)  # (N, C, HW)
    factor, offset, of_mean, of_largest = weights[:, :, None, None].unbind(1)  # each (N, 1, 1)
    channels = torch.split(x, 1, dim=1)  # (N, 1, HW) each; `aminmax` over them takes 40 times as long
    smallest, largest = functools.reduce(torch.minimum, channels), functools.reduce(torch.maximum, channels)
    # The factor that saturates a pixel. 1 / 0 and 0 / 0, in gray and where saturation isn't asked for, set no bound.
    full = largest / ((largest - smallest) * of_largest)
    other = largest * of_largest + x.mean(dim=2, keepdim=True) * of_mean  # (N, C, HW)
    out = torch.empty_like(images) if out is None else out
    torch.lerp(other, x, torch.fmin(factor, full), out=out.flatten(2)).add_(offset)
    return out.clamp_(0, 1)


def tensorflow_weights(operator: Tensor, factor: Tensor, added: bool) -> Tensor:
    """Returns ``tensorflow_blend``'s weights (..., 4): factor, offset, and whether the mean or the largest is kept.

    Args:
        operator: (...) int64, of BRIGHTNESS, CONTRAST and SATURATION.
        factor: f, (...), at least 0; 1 changes nothing.
        added: whether brightness is added (BYOL) rather than multiplied (SimCLR).
    """
    shifted = (operator == BRIGHTNESS) & added
    return torch.stack(
        (
            torch.where(shifted, 1, factor),
            torch.where(shifted, factor - 1, 0),
            (operator == CONTRAST).to(factor.dtype),
            (operator == SATURATION).to(factor.dtype),
        ),
        dim=-1,
    )
