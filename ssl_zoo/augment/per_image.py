"""Operation on some images of a batch, with parameters per image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["Step"]


class Step:
    """Operation, the images that it applies to, and their parameters.

    On a CPU it runs in place on each run of adjacent images, as copying images out and back costs more than most
    operations; so it is fast where its images are adjacent. On other devices it runs on all images and the result is
    kept where it is on, as counting those would wait for the device.

    Args:
        operation: called as ``operation(images, *parameters, out=None)``; ``out`` may be ``images``.
        on: (N,) bool, the images that it applies to.
        parameters: a row per image, (N, ...), whether it is on or not.
    """

    def __init__(self, operation: Callable[..., Tensor], on: Tensor, *parameters: Tensor) -> None:
        self.operation = operation
        self.on = on
        self.parameters = parameters
        self.runs: list[tuple[int, int]] | None = None
        if on.device.type == "cpu":
            padded = np.zeros(len(on) + 2, dtype=bool)
            padded[1:-1] = on.numpy()
            edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
            self.runs = list(zip(edges[::2], edges[1::2], strict=True))

    def __call__(self, images: Tensor, start: int = 0) -> Tensor:
        """Applies the step.

        Args:
            images: (n, C, H, W), the images from ``start`` on; overwritten on a CPU, elsewhere all N.
            start: the first image's position among the N.

        Returns:
            (n, C, H, W).
        """
        if self.runs is None:
            changed = self.operation(images, *self.parameters)
            return torch.where(self.on.view(-1, 1, 1, 1), changed, images)
        end = start + len(images)
        for first, last in self.runs:
            if first < end and last > start:
                rows = slice(max(first, start), min(last, end))
                part = images[rows.start - start : rows.stop - start]
                self.operation(part, *[value[rows] for value in self.parameters], out=part)
        return images
