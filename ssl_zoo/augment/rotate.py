"""Rotation by multiples of 90 degrees, each image by its own."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ssl_zoo.augment.per_image import Step

__all__ = ["rotate", "rotate_steps"]


def rotate(images: Tensor, quarters: Tensor) -> Tensor:
    """Rotates each image, exactly, as ``torch.rot90`` over its height and width.

    Args:
        images: (N, C, S, S), square.
        quarters: (N,) integers 0 to 3, counterclockwise.

    Returns:
        (N, C, S, S).

    Raises:
        ValueError: the images aren't square.
    """
    if images.shape[2] != images.shape[3]:
        raise ValueError(
            f"images must be square, (N, C, S, S); received {tuple(images.shape)}; crop them to one side"
        )
    images = images.clone()
    for step in rotate_steps(quarters):
        images = step(images)
    return images


def rotate_steps(quarters: Tensor) -> list[Step]:
    """Returns the steps of ``rotate``, one per angle."""
    return [Step(partial(_rotate, number), quarters == number) for number in (1, 2, 3)]


def _rotate(number: int, images: Tensor, out: Tensor | None = None) -> Tensor:
    rotated = torch.rot90(images, number, (2, 3))  # of 1 to 3 quarters: always a copy
    return rotated if out is None else out.copy_(rotated)
