"""Class-wise parts of labels against a naive loop, and the draws behind published figures, which must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssl_zoo.data import MemorySplit
from ssl_zoo.data.partition import partition
from ssl_zoo.data.sampling import (
    at_least_one,
    drawn_order,
    keyed_order,
    random_order,
    random_subset,
    sample_classes,
    split_classes,
)
from ssl_zoo.monitors.probe import draw_labels

SIZES = {5: 100, 1: 7, 8: 2, 3: 1}
LABELS = torch.tensor([label for label, size in SIZES.items() for _ in range(size)])[random_order(110, 4)]


def counts(positions: torch.Tensor) -> dict[int, int]:
    return {label: int((LABELS[positions] == label).sum()) for label in SIZES}


def test_a_fraction_of_each_class_is_balanced_nested_and_drawn_anew() -> None:
    def draw(fraction: float, seed: int = 0, number: int = 0) -> list[int]:
        order = keyed_order(seed, "picks", number)
        return sample_classes(LABELS, at_least_one(fraction), order).tolist()

    small, large = draw(0.1), draw(0.5)
    assert counts(torch.tensor(small)) == {5: 10, 1: 1, 8: 1, 3: 1}
    assert counts(torch.tensor(large)) == {5: 50, 1: 4, 8: 1, 3: 1}
    assert set(small) < set(large)
    assert sorted(draw(1.0)) == list(range(110))
    assert small == draw(0.1)
    assert small != draw(0.1, number=1)
    assert small != draw(0.1, seed=1)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_a_holdout_leaves_an_image_of_each_class_to_train_on(fraction: float) -> None:
    for order in (drawn_order(0), keyed_order(0, "picks", 0)):
        kept, held = split_classes(LABELS, fraction, order)
        assert sorted([*kept.tolist(), *held.tolist()]) == list(range(110))
        assert held.tolist() == sorted(held.tolist())
        assert counts(held) == {
            label: min(max(1, round(fraction * size)), size - 1) for label, size in SIZES.items()
        }
    assert torch.equal(
        split_classes(LABELS, fraction, drawn_order(1))[1], split_classes(LABELS, fraction, drawn_order(1))[1]
    )


def test_the_draws_of_published_figures_are_as_they_were() -> None:
    """By hand, each with the generator that it has always had."""
    generator, held = torch.Generator().manual_seed(7), []
    for label in sorted(SIZES):
        members = (label == LABELS).nonzero().flatten()  # type: ignore[attr-defined]
        number = min(max(1, round(0.2 * len(members))), len(members) - 1)
        held += members[torch.randperm(len(members), generator=generator)[:number]].tolist()
    assert split_classes(LABELS, 0.2, drawn_order(7))[1].tolist() == sorted(held)

    rng = np.random.default_rng(3)
    for picks in draw_labels(LABELS.numpy(), 2, 3, seed=3):
        expected = [rng.permutation(np.flatnonzero(label == LABELS))[:2] for label in sorted(SIZES)]
        assert picks.tolist() == np.concatenate(expected).tolist()

    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    assert sample_classes(labels, at_least_one(0.5), keyed_order(0, "picks", 0)).tolist() == [2, 0, 3, 9]
    assert partition(10, labels, ("a", "b"), 0.0, 5).train.tolist() == [2, 5, 6, 8, 9]
    assert random_order(10, 0).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]


def test_a_random_subset_keeps_the_order_of_the_images() -> None:
    split = MemorySplit(torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1))
    part = random_subset(split, 10, seed=1)
    assert isinstance(part, MemorySplit)
    pixels = part.images.flatten().tolist()
    assert pixels == sorted(random_order(40, 1)[:10].tolist())
    assert random_subset(split, 40, seed=1) is split
