"""Embeddings of the last steps of an epoch, as training makes them.

For scripts whose encoder cannot be put together (`outputs.find_encoder`). Steps are kept as copies on their device
until they hold as many images as are measured. What belongs to one optimizer step, several batches under gradient
accumulation, was made by the same weights and is measured together; steps of few images are joined.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.metrics import Embeddings

__all__ = ["LastSteps", "first_views"]

LEAST_IMAGES = 32  # that are measured together, where an epoch has as many


class Step(NamedTuple):
    """What one batch put out."""

    number: int  # of the optimizer step
    views: tuple[Tensor, ...]  # (N, D), of one or two views
    predictions: tuple[Tensor, ...]  # (N, D) of each view; empty: no predictor, or of another shape


class LastSteps:
    """Keeps the last steps.

    Args:
        images: how many are kept.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.kept: deque[Step] = deque()

    def add(self, number: int, views: Sequence[Tensor], predictions: Sequence[Tensor]) -> None:
        """Keeps copies of a batch's outputs, as the script may overwrite them; of two views at most."""
        if [p.shape for p in predictions] != [z.shape for z in views]:
            predictions = ()
        copies = (tuple(x[: self.images].clone() for x in outputs) for outputs in (views, predictions))
        self.kept.append(Step(number, *copies))
        rows = sum(len(step.views[0]) for step in self.kept)
        while rows - len(self.kept[0].views[0]) >= self.images:
            rows -= len(self.kept.popleft().views[0])

    def groups(self) -> Iterator[list[Embeddings]]:
        """Yields the embeddings of each view, (n, D), steps of equal weights together, the oldest first."""
        left, steps, count = sum(len(step.views[0]) for step in self.kept), [], 0
        following = [*(step.number for step in self.kept), -1][1:]
        for step, following_number in zip(self.kept, following, strict=True):
            steps.append(step)
            count, left = count + len(step.views[0]), left - len(step.views[0])
            enough = count >= LEAST_IMAGES and left >= LEAST_IMAGES
            if left == 0 or (enough and following_number != step.number):
                yield _joined(steps)
                steps, count = [], 0


def first_views(calls: Sequence[Tensor], views_per_call: int) -> tuple[Tensor, ...]:
    """Returns the first two views of one shape, the global ones where there are crops; one where there is one."""
    views = [view for call in calls for view in call.chunk(views_per_call)]
    return tuple([view for view in views if view.shape == views[0].shape][:2])


def _joined(steps: list[Step]) -> list[Embeddings]:
    count = min(len(step.views) for step in steps)
    predicted = all(len(step.predictions) >= count for step in steps)
    return [
        Embeddings(
            torch.cat([step.views[view] for step in steps]).cpu(),
            torch.cat([step.predictions[view] for step in steps]).cpu() if predicted else None,
        )
        for view in range(count)
    ]
