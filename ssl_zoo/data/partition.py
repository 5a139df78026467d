"""The split into images to train on and images held out: `data.holdout`, then `data.limit`.

Both are fixed: they depend on the labels alone, never on the run's seed, so that runs are comparable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from ssl_zoo.data.rng import permutation
from ssl_zoo.data.sampling import keyed_order, sample_classes
from ssl_zoo.data.split import Split
from ssl_zoo.errors import UserError, suggest

__all__ = ["Parts", "check_test_classes", "classes_left", "partition", "taken"]


SHOWN = 5  # classes named in a message


class Parts(NamedTuple):
    """Positions among the training images, ascending."""

    train: Tensor  # (n,) int64
    labelled: Tensor  # (b,) int64: labelled ones
    held: Tensor | None  # (h,) int64: the test images in place of the real ones


def partition(
    count: int, labels: Tensor | None, classes: tuple[str, ...], holdout: float, limit: int | None
) -> Parts:
    """Splits off the holdout, stratified, and takes a class-balanced part of the rest.

    Args:
        count: number of training images.
        labels: (L,) int64, of the first L <= count images; None without labels. The holdout is taken from
            the labelled images; a limit leaves them alone where not all images are labelled.
        classes: the names of the classes.
        holdout: fraction of the labelled images (of all, without labels), in [0, 1).
        limit: number of images to train on. Each of the C classes gives limit // C, the first limit % C of
            them one more; without labels for all images it is a random subset.

    Raises:
        UserError: the holdout cannot be stratified, or the limit exceeds what there is.
    """
    train = torch.arange(count)
    held = None
    if holdout:
        held = _hold_out(count, labels, classes, holdout)
        kept = torch.ones(count, dtype=torch.bool)
        kept[held] = False
        train = train[kept]
    count_labelled = 0 if labels is None else len(labels)
    labelled = train[train < count_labelled]
    if limit is None:
        return Parts(train, labelled, held)
    if limit > len(train):
        after = f" (after data.holdout={holdout})" if holdout else ""
        raise UserError(
            f"data.limit must be at most the number of training images; received {limit} for "
            f"{len(train)}{after}; lower it or leave it out"
        )
    if labels is None or count_labelled < count:
        chosen = permutation(len(train), 0, "limit")[:limit]
        return Parts(train[chosen.sort().values], labelled, held)
    train = train[_balanced(labels[train], classes, limit)]
    return Parts(train, train, held)


def taken(
    count: int, labels: Tensor | None, classes: tuple[str, ...], holdout: float, limit: int | None
) -> Tensor:
    """Returns the positions (n,) of the images that `partition` leaves, ascending; all where a class is empty, which is
    refused once the images are read.
    """
    if labels is not None and len(torch.unique(labels)) < len(classes):
        return torch.arange(count)
    parts = partition(count, labels, classes, holdout, limit)
    held = torch.empty(0, dtype=torch.int64) if parts.held is None else parts.held
    return torch.cat([parts.train, held]).sort().values


def _hold_out(count: int, labels: Tensor | None, classes: tuple[str, ...], holdout: float) -> Tensor:
    candidates = count if labels is None else len(labels)
    strata = None if labels is None else labels.numpy()
    _check_holdout(candidates, labels, classes, holdout)
    _, held = train_test_split(np.arange(candidates), test_size=holdout, stratify=strata, random_state=0)
    return torch.from_numpy(held).to(torch.int64).sort().values


def _check_holdout(count: int, labels: Tensor | None, classes: tuple[str, ...], holdout: float) -> None:
    """Refuses what scikit-learn would, with our rule and fix: too few images on one of the two sides."""
    held = math.ceil(holdout * count)
    least = 1
    if labels is not None:
        sizes = torch.bincount(labels, minlength=len(classes)).tolist()
        single = [name for name, size in zip(classes, sizes, strict=True) if size == 1]
        if single:
            more = f" and {len(single) - 1} other classes have" if len(single) > 1 else " has"
            raise UserError(
                f"data.holdout tests on a part of each class and trains on the rest, which takes two images; received "
                f"{holdout}, and class '{single[0]}'{more} one; add images, remove the class, or leave data.holdout out"
            )
        least = sum(size > 0 for size in sizes)
    if held < least or count - held < least:
        each = "one" if labels is None else f"one of each of the {least} classes"
        raise UserError(
            f"data.holdout must leave images to train on and to test on, {each} at least; received {holdout} of "
            f"{count} images, {held} of them to test on; choose another fraction or leave it out"
        )


def _balanced(labels: Tensor, classes: tuple[str, ...], limit: int) -> Tensor:
    """Returns (limit,) ascending positions: the same number of images of each class, always the same ones."""
    number = len(classes)
    sizes = torch.bincount(labels, minlength=number).tolist()
    quotas = [limit // number + (index < limit % number) for index in range(number)]
    for name, quota, size in zip(classes, quotas, sizes, strict=True):
        if quota > size:
            # The first of the smallest classes is the first that runs out as the limit grows.
            most = min(sizes) * number + sizes.index(min(sizes))
            raise UserError(
                f"data.limit takes the same number of images of each class; received {limit}, which is {quota} "
                f"of class '{name}', and there are {size}; set data.limit={most} or less, or leave it out"
            )
    return sample_classes(labels, lambda label, size: quotas[label], keyed_order(0, "limit")).sort().values


def classes_left(
    train: Split, names: tuple[str, ...], folder: object, fix: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Returns the classes that have images, by which the labels are numbered anew, and those left without.

    Args:
        train: the training images that can be read.
        names: the names of all classes.
        folder: `data.train`, for the message.
        fix: what to do where one class alone is left.

    Raises:
        UserError: fewer than two are left.
    """
    if train.labels is None:
        return None, ()
    there = torch.bincount(train.labels, minlength=len(names)) > 0  # (C,)
    train.labels = there.cumsum(0)[train.labels] - 1
    left = tuple(name for name, kept in zip(names, there.tolist(), strict=True) if kept)
    if len(left) < 2:
        raise UserError(
            f"labels must be of two classes or more; of those of data.train={folder} '{left[0]}' alone has images "
            f"that can be read; {fix}"
        )
    return left, tuple(name for name in names if name not in left)


def check_test_classes(found: Sequence[str], classes: Sequence[str], received: str, fix: str) -> None:
    """Refuses test images of a class that no training image has.

    Args:
        found: classes of the test images.
        classes: those of the training images.
        received: what holds the test images, for the message.
        fix: what to do about it.

    Raises:
        UserError: there is such a class.
    """
    unknown = [name for name in found if name not in classes]
    if unknown:
        some = ", ".join(classes[:SHOWN]) + (" ..." if len(classes) > SHOWN else "")
        more = f" and {len(unknown) - 1} more unknown ones" if len(unknown) > 1 else ""
        raise UserError(
            f"data.test must have the classes of data.train ({some}); received {received} with '{unknown[0]}'{more}; "
            f"{fix}{suggest(unknown[0], classes)}"
        )
