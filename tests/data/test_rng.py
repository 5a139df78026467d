"""Random streams and permutations that depend on their key alone."""

from __future__ import annotations

import numpy as np
import torch

from ssl_zoo.data.rng import permutation, stream


def test_permutation_has_each_position_once() -> None:
    assert permutation(1000, 3, "order", 5).sort().values.tolist() == list(range(1000))


def test_permutation_is_a_function_of_its_key_alone() -> None:
    first = permutation(50, 7, "order", 2)
    torch.manual_seed(1)
    np.random.default_rng(1).random(100)
    permutation(50, 8, "order", 2)
    assert torch.equal(first, permutation(50, 7, "order", 2))


def test_each_part_of_the_key_matters() -> None:
    # 2**32 apart, too: torch's own generator would take the two seeds for one.
    keys = [(7, "order", 2), (7, "order", 3), (8, "order", 2), (7 + 2**32, "order", 2), (7, "limit", 2)]
    assert len({tuple(permutation(50, *key).tolist()) for key in keys}) == len(keys)


def test_permutation_is_pinned() -> None:
    """Fixed subsets must not move with a version of NumPy: Philox's raw words are guaranteed."""
    raw = np.random.Philox(key=np.array([0, int.from_bytes(b"limit", "little")], np.uint64)).random_raw(6)
    assert permutation(6, 0, "limit").tolist() == sorted(range(6), key=lambda i: raw[i])
    assert permutation(6, 0, "limit").tolist() == [1, 4, 3, 2, 0, 5]


def test_positions_are_uniform() -> None:
    """Where image 0 lands over 2,000 epochs: chi-squared with 9 degrees of freedom, 99.9 % quantile 27.9."""
    landed = torch.stack([(permutation(10, 0, "order", e) == 0).nonzero()[0, 0] for e in range(2000)])
    expected = 200
    assert ((torch.bincount(landed, minlength=10) - expected) ** 2 / expected).sum() < 27.9


def test_streams_of_neighbouring_counters_are_uncorrelated() -> None:
    draws = np.array([stream(0, "crop", 0, i, 0).random(8) for i in range(500)])  # (images, draws)
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.15
    assert len(np.unique(draws)) == draws.size
