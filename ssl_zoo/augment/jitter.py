"""Colour jitter: brightness, contrast, saturation and hue in an order of its own for each image.

Hue costs as much as all else together, so it is applied once, to all images at the same time. An image
whose hue comes at place k has k blends before it and 3 - k after it, and its j-th blend is made in the j-th
step before or in the j-th step after.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.augment.color import HUE, blend, blend_weights
from ssl_zoo.augment.hue import hue
from ssl_zoo.augment.select import apply

__all__ = ["color_jitter", "hue_place"]


def hue_place(order: Tensor) -> Tensor:
    """Returns the places (N,), 0 to 3, of the hue in orders (N, 4)."""
    return (order == HUE).to(torch.uint8).argmax(dim=1)


def color_jitter(images: Tensor, on: Tensor, order: Tensor, factors: Tensor, shift: Tensor | None) -> Tensor:
    """Applies torchvision's ``ColorJitter`` with given parameters to the images where it is on.

    Args:
        images: (N, C, H, W) floats in [0, 1], C = 1 or 3; overwritten on a CPU.
        on: (N,) bool, which images change.
        order: (N, 4), a permutation of (0, 1, 2, 3) per image: what is done first, second, ...
        factors: (N, 3), of brightness (0), contrast (1) and saturation (2); 1 changes nothing.
        shift: (N,), of the hue (3), in turns of the colour circle; None leaves the hue out.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    place = hue_place(order)  # (N,)
    step = torch.arange(3, device=images.device)
    operators = order.gather(1, step + (step >= place.unsqueeze(1)))  # (N, 3), the order without the hue
    factor = factors.gather(1, operators).view(-1, 3, 1, 1, 1)
    mean_weight, gray_weight = blend_weights(operators, images.shape[1])  # (N, 3, 1, C)
    if shift is None:
        place = torch.full_like(place, 3)
    before = (on & (step.unsqueeze(1) < place), on & (step.unsqueeze(1) >= place))  # each (3, N)
    for j in range(3):
        images = apply(before[0][j], images, blend, factor[:, j], mean_weight[:, j], gray_weight[:, j])
    if shift is not None:
        images = apply(on, images, hue, shift)
        for j in range(3):
            images = apply(before[1][j], images, blend, factor[:, j], mean_weight[:, j], gray_weight[:, j])
    return images
