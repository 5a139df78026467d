"""Turns by whole quarters, each image by its own number of them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ssl_zoo.augment.per_image import Step

__all__ = ["rotate", "rotate_steps"]


def rotate(images: Tensor, turns: Tensor) -> Tensor:
    """Turns each image, exactly, as ``torch.rot90`` over its height and width.

    Args:
        images: (N, C, S, S), square.
        turns: (N,) integers 0 to 3, in quarters counterclockwise.

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
    for step in rotate_steps(turns):
        images = step(images)
    return images


def rotate_steps(turns: Tensor) -> list[Step]:
    """Returns the steps of ``rotate``: one per angle, as a batch turns by one angle at a time."""
    return [Step(partial(_turn, quarters), turns == quarters) for quarters in (1, 2, 3)]


def _turn(quarters: int, images: Tensor, out: Tensor | None = None) -> Tensor:
    turned = torch.rot90(images, quarters, (2, 3))  # of 1 to 3 quarters: always a copy
    return turned if out is None else out.copy_(turned)
