"""Colour jitter: brightness, contrast, saturation and hue, in a random order for each image.

Hue costs as much as the other three together, so it is applied once, to all images at the same time. An image
whose hue comes at position k has k blends before it and 3 - k after it, and its j-th blend is computed in the j-th
step before or after. One channel has neither hue nor saturation, only two blends; nor have four or more, nor two, whose
contrast is about each channel's own mean, as in TensorFlow, since they have no gray image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.augment.color import BRIGHTNESS, CONTRAST, LUMA, blend, blend_weights
from ssl_zoo.augment.hue import hue_steps
from ssl_zoo.augment.per_image import Step
from ssl_zoo.augment.tensorflow_color import tensorflow_blend, tensorflow_weights

__all__ = ["color_jitter", "hue_position", "jitter_steps"]


def color_jitter(
    images: Tensor,
    on: Tensor,
    order: Tensor,
    factors: Tensor,
    shift: Tensor | None,
    operations: str = "torchvision",
) -> Tensor:
    """Applies torchvision's ``ColorJitter`` with given parameters to the images where it is on.

    Args:
        images: (N, C, H, W) floats in [0, 1].
        on: (N,) bool, which images change.
        order: (N, 4), a permutation of (0, 1, 2, 3) per image: what is done first, second, ...
        factors: (N, 3), of brightness (0), contrast (1) and saturation (2); 1 changes nothing.
        shift: (N,), of the hue (3), in turns of the colour circle; None leaves the hue out.
        operations: whose brightness, contrast and saturation: torchvision, or simclr or byol (``tensorflow_color``).

    Returns:
        (N, C, H, W) in [0, 1].
    """
    images = images.clone()
    for step in jitter_steps(images.shape[1], on, order, factors, shift, operations):
        images = step(images)
    return images


def jitter_steps(
    channels: int,
    on: Tensor,
    order: Tensor,
    factors: Tensor,
    shift: Tensor | None,
    operations: str = "torchvision",
) -> list[Step]:
    """Returns the steps of ``color_jitter``: at most three blends, the hue, and three blends."""
    position = hue_position(order)  # (N,)
    if channels != 3:
        swapped = (order == CONTRAST).int().argmax(dim=1) < (order == BRIGHTNESS).int().argmax(dim=1)
        operators = torch.stack((swapped, ~swapped)).to(torch.int64)  # (2, N)
        shift = None
    else:
        blends = torch.arange(3, device=order.device).unsqueeze(1)
        before = position > blends  # (3, N)
        operators = order.T.gather(0, blends + ~before)  # (3, N), the order without the hue
    factors = factors.T.gather(0, operators)  # (3, N)
    if operations == "torchvision" and channels in LUMA:
        change, weights = blend, blend_weights(operators, factors, channels)  # (3, N, 3, C)
    else:
        change = tensorflow_blend
        weights = tensorflow_weights(operators, factors, operations == "byol")  # (3, N, 4)
    if shift is None:
        return [Step(change, on, w) for w in weights]
    first, second = on & before, on & ~before
    return [
        *(Step(change, selected, w) for selected, w in zip(first, weights, strict=True)),
        *hue_steps(on, shift),
        *(Step(change, selected, w) for selected, w in zip(second, weights, strict=True)),
    ]


def hue_position(order: Tensor) -> Tensor:
    """Returns the positions (N,), 0 to 3, of the hue in orders (N, 4)."""
    return order.argmax(dim=1)  # the hue has the largest number
