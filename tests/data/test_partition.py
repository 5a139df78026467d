"""Holdout and limit: balance, disjointness, determinism, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ssl_zoo.data.partition import partition
from ssl_zoo.errors import UserError

CLASSES = ("ant", "bee", "cat")
LABELS = torch.tensor([0] * 10 + [1] * 20 + [2] * 30)


def _split(holdout: float = 0.0, limit: Any = None, labels: Any = LABELS, count: int = 60) -> Any:
    return partition(count, labels, CLASSES, holdout, limit)


def _sizes(positions: Any, labels: Any = LABELS) -> Any:
    return torch.bincount(labels[positions], minlength=3).tolist()


def test_without_holdout_and_limit_everything_is_trained_on() -> None:
    parts = _split()
    assert parts.train.tolist() == parts.labelled.tolist() == list(range(60))
    assert parts.held is None


@pytest.mark.parametrize(
    ("limit", "sizes"), [(9, [3, 3, 3]), (10, [4, 3, 3]), (11, [4, 4, 3]), (2, [1, 1, 0])]
)
def test_limit_takes_the_same_number_of_each_class(limit: int, sizes: list[int]) -> None:
    parts = _split(limit=limit)
    assert _sizes(parts.train) == sizes
    assert parts.train.tolist() == sorted(set(parts.train.tolist()))
    assert torch.equal(parts.train, parts.labelled)
    assert torch.equal(parts.train, _split(limit=limit).train)


def test_limit_is_a_random_part_not_the_first_images() -> None:
    chosen = _split(limit=15).train
    assert chosen.tolist() != [*range(5), *range(10, 15), *range(30, 35)]


def test_holdout_is_stratified_and_disjoint() -> None:
    parts = _split(holdout=0.2)
    assert _sizes(parts.held) == [2, 4, 6]
    assert _sizes(parts.train) == [8, 16, 24]
    assert sorted([*parts.held.tolist(), *parts.train.tolist()]) == list(range(60))
    assert torch.equal(parts.held, _split(holdout=0.2).held)


@pytest.mark.parametrize(
    ("sizes", "holdout", "message"),
    [
        (
            [5, 1, 5],
            0.2,
            "received 0.2, and class 'b' has one; add images, remove the class, or leave data.holdout out",
        ),
        ([5, 1, 1], 0.2, "class 'b' and 1 other classes have one"),
        (
            [5, 5, 5],
            0.1,
            "one of each of the 3 classes at least; received 0.1 of 15 images, 2 of them to test on",
        ),
        ([5, 5, 5], 0.9, "received 0.9 of 15 images, 14 of them"),
        ([5, 0, 5], 0.1, "one of each of the 2 classes at least; received 0.1 of 10 images, 1 of them"),
    ],
)
def test_a_holdout_that_cannot_be_stratified_is_explained(
    sizes: list[int], holdout: float, message: str
) -> None:
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    with pytest.raises(UserError) as error:
        partition(len(labels), labels, ("a", "b", "c"), holdout, None)
    assert message in str(error.value)


def test_holdout_comes_first_and_the_limit_takes_of_the_rest() -> None:
    alone, both = _split(holdout=0.2), _split(holdout=0.2, limit=12)
    assert torch.equal(alone.held, both.held)
    assert _sizes(both.train) == [4, 4, 4]
    assert not set(both.train.tolist()) & set(both.held.tolist())


def test_without_labels_both_are_random() -> None:
    parts = _split(holdout=0.25, limit=20, labels=None)
    assert (len(parts.held), len(parts.train), len(parts.labelled)) == (15, 20, 0)
    assert not set(parts.train.tolist()) & set(parts.held.tolist())


def test_with_few_labels_the_holdout_is_labelled_and_the_bank_stays_whole() -> None:
    parts = _split(holdout=0.2, limit=100, count=600)
    assert _sizes(parts.held) == [2, 4, 6]
    assert _sizes(parts.labelled) == [8, 16, 24]
    assert len(parts.train) == 100
    assert (parts.train >= 60).any()  # not of the labelled ones only
    assert not set(parts.held.tolist()) & {*parts.train.tolist(), *parts.labelled.tolist()}


@pytest.mark.parametrize(
    ("keys", "phrases"),
    [
        ({"limit": 61}, ["data.limit must be at most", "received 61 for 60", "lower it"]),
        ({"limit": 50, "holdout": 0.2}, ["received 50 for 48", "after data.holdout=0.2"]),
        ({"limit": 61, "labels": None}, ["received 61 for 60"]),
        (
            {"limit": 31},
            ["same number", "received 31", "11 of class 'ant'", "there are 10", "data.limit=30 or less"],
        ),
        (
            {"holdout": 0.01},
            ["data.holdout must leave", "received 0.01 of 60 images", "choose another fraction"],
        ),
        ({"holdout": 0.999}, ["data.holdout must leave", "received 0.999"]),
        ({"holdout": 0.5, "labels": None, "count": 1}, ["data.holdout must leave", "of 1 images"]),
    ],
)
def test_what_cannot_be_taken_is_refused(keys: dict[str, Any], phrases: list[str]) -> None:
    with pytest.raises(UserError) as error:
        _split(**keys)
    assert all(phrase in str(error.value) for phrase in phrases), error.value


def test_the_limit_that_a_message_recommends_works_and_one_more_does_not() -> None:
    labels = torch.tensor([0] * 4 + [1] * 3 + [2] * 3)
    with pytest.raises(UserError, match=r"data\.limit=10 or less"):
        partition(20, torch.cat([labels, torch.zeros(10, dtype=torch.int64)]), CLASSES, 0.0, 11)
    assert _sizes(partition(10, labels, CLASSES, 0.0, 10).train, labels) == [4, 3, 3]
