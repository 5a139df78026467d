"""Which labels a draw has, and its seed: functions of the evaluation's seed, the draw and the labels alone."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_zoo.data.rng import permutation, stream

__all__ = ["class_share", "seed_of"]


def seed_of(seed: int, draw: int) -> int:
    """The seed of a draw, below 2**32; no seed's draws are those of its neighbour."""
    return int(stream(seed, "classify", draw).integers(2**32))


def class_share(labels: Tensor, share: float, seed: int, draw: int = 0) -> Tensor:
    """Picks a share of each class, at least one image, at random; a smaller share's pick is part of a larger's.

    Args:
        labels: (N,) int64.
        share: above 0, at most 1.
        seed: at least 0.
        draw: picks of different draws have nothing to do with one another.

    Returns:
        (n,) int64 positions, ascending.
    """
    picks = []
    for label in torch.unique(labels).tolist():
        members = (labels == label).nonzero().flatten()
        count = max(1, round(share * len(members)))
        picks.append(members[permutation(len(members), seed, "picks", draw, label)[:count]])
    return torch.cat(picks).sort().values
