"""Applying an operation to some images of a batch, with the parameters of those images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["apply"]


def apply(on: Tensor, images: Tensor, operation: Callable[..., Tensor], *parameters: Tensor | None) -> Tensor:
    """Applies an operation where it is on.

    On a CPU it runs in place on each run of neighbouring images that are on, as copying images out and
    back costs more than most operations; so it is fast where such images lie together. Elsewhere it runs on
    all images and the result is taken where it is on, as counting those would wait for the device.

    Args:
        on: (N,) bool.
        images: (N, C, H, W); overwritten on a CPU.
        operation: called as ``operation(images, *parameters, out=None)``; ``out`` may be ``images``.
        parameters: one row per image, each (N, ...). None is an error; it is typed for callers' optionals.

    Returns:
        (N, C, H, W).
    """
    given = [value for value in parameters if value is not None]
    assert len(given) == len(parameters)
    if images.device.type != "cpu":
        return torch.where(on.view(-1, 1, 1, 1), operation(images, *given), images)
    padded = np.zeros(len(on) + 2, dtype=bool)
    padded[1:-1] = on.numpy()
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        part = images[first:last]
        operation(part, *[value[first:last] for value in given], out=part)
    return images
