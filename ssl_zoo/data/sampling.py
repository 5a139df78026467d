"""Random parts of images: class by class, by their labels, or of all alike.

What a part holds depends on its arguments alone. Where the order comes from is the caller's: the draws behind
published figures come from different generators, and each keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ssl_zoo.data.rng import permutation
from ssl_zoo.data.split import Split

__all__ = [
    "Number",
    "Order",
    "at_least_one",
    "drawn_order",
    "equal_count",
    "keyed_order",
    "random_order",
    "random_subset",
    "sample_classes",
    "split_classes",
]

Number = Callable[[int, int], int]  # (label, images of it) -> how many of them
Order = Callable[[int, int], Tensor]  # (label, n images of it) -> a permutation of range(n), int64 (n,)


def sample_classes(labels: Tensor, number: Number, order: Order) -> Tensor:
    """Takes the first images of each class in a random order.

    Args:
        labels: (N,) int64.
        number: of images that a class gives; it gives all that it has where that is less.
        order: of a class's images. Both are asked class by class, in the order of the labels.

    Returns:
        (n,) int64 positions, class by class.
    """
    picks = []
    present, sizes = torch.unique(labels, return_counts=True)
    by_class = torch.split(labels.argsort(stable=True), sizes.tolist())
    for label, members in zip(present.tolist(), by_class, strict=True):
        picks.append(members[order(label, len(members))[: number(label, len(members))]])
    return torch.cat(picks)


def split_classes(labels: Tensor, fraction: float, order: Order) -> tuple[Tensor, Tensor]:
    """Holds out a fraction of each class, rounded: at least one image and at most all but one.

    A class of a single image is kept whole.

    Args:
        labels: (N,) int64.
        fraction: in (0, 1).
        order: as of `sample_classes`.

    Returns:
        Positions of those kept and of those held out, int64, ascending.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    at_least = at_least_one(fraction)
    held[sample_classes(labels, lambda label, size: min(at_least(label, size), size - 1), order)] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def at_least_one(fraction: float) -> Number:
    """Returns the rule "a fraction of each class, rounded, at least one image"."""
    return lambda label, size: max(1, round(fraction * size))


def equal_count(count: int) -> Number:
    """Returns the rule "so many images of each class"."""
    return lambda label, size: count


def keyed_order(seed: int, purpose: str, *counter: int) -> Order:
    """Returns orders that are functions of these arguments and the label alone; see `rng.permutation`."""
    return lambda label, size: permutation(size, seed, purpose, *counter, label)


def drawn_order(seed: int) -> Order:
    """Returns orders that are drawn from one generator, class after class."""
    generator = torch.Generator().manual_seed(seed)
    return lambda label, size: torch.randperm(size, generator=generator)


def random_order(count: int, seed: int) -> Tensor:
    """Returns a permutation of `range(count)`, (count,) int64."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def random_subset(split: Split, number: int, seed: int) -> Split:
    """Returns a random part of a split in the split's order, or all of it where it has no more than `number`."""
    if len(split) <= number:
        return split
    return split.select(random_order(len(split), seed)[:number].sort().values)
