"""Weighted kNN against a double loop and against lightly."""

from __future__ import annotations

import math

import pytest
import torch
from lightly.utils.benchmarking import knn_predict
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.errors import UserError
from ssl_zoo.monitors import knn_predict_labels, knn_top1


def data(M: int = 120, N: int = 70, D: int = 6, C: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy classes: hard enough that k and temperature change predictions."""
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(C, D, generator=g)
    y, y_query = torch.randint(C, (M,), generator=g), torch.randint(C, (N,), generator=g)
    noise = [1.5 * torch.randn(n, D, generator=g) for n in (M, N)]
    return centres[y] + noise[0], y, centres[y_query] + noise[1], y_query


def naive_predictions(bank: Tensor, labels: Tensor, queries: Tensor, k: int, tau: float) -> list[int]:
    predictions = []
    for query in queries.double().tolist():
        similarities = []
        for key, label in zip(bank.double().tolist(), labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(query, key, strict=True))
            similarities.append((dot / math.hypot(*query) / math.hypot(*key), label))
        votes: dict[int, float] = {}
        for similarity, label in sorted(similarities, reverse=True)[:k]:
            votes[label] = votes.get(label, 0.0) + math.exp(similarity / tau)
        predictions.append(max(votes, key=lambda label: votes[label]))
    return predictions


@pytest.mark.parametrize(("k", "tau"), [(1, 0.1), (7, 0.02), (30, 0.1), (120, 1.0)])
def test_matches_a_double_loop(k: int, tau: float) -> None:
    bank, y, queries, y_query = data()
    expected = naive_predictions(bank, y, queries, k, tau)
    assert knn_predict_labels(bank, y, queries, k, tau).tolist() == expected
    right = sum(a == b for a, b in zip(expected, y_query.tolist(), strict=True))
    assert knn_top1(bank, y, queries, y_query, k, tau) == right / len(queries)


@pytest.mark.parametrize(("k", "tau"), [(5, 0.1), (60, 0.07)])
def test_matches_lightly(k: int, tau: float) -> None:
    bank, y, queries, _ = data()
    expected = knn_predict(normalize(queries, dim=1), normalize(bank, dim=1).T, y, 5, k, tau)[:, 0]
    assert torch.equal(knn_predict_labels(bank, y, queries, k, tau), expected)


def test_settings_matter_in_this_data() -> None:
    bank, y, queries, _ = data()
    few, many = (knn_predict_labels(bank, y, queries, k, 0.1) for k in (1, 60))
    sharp, flat = (knn_predict_labels(bank, y, queries, 120, tau) for tau in (0.02, 10.0))
    assert not torch.equal(few, many)
    assert not torch.equal(sharp, flat)


@pytest.mark.parametrize("chunk", [1, 7, 70, 1000])
def test_chunks_change_nothing(chunk: int) -> None:
    bank, y, queries, y_query = data()
    assert knn_top1(bank, y, queries, y_query, 20, 0.1, chunk) == knn_top1(bank, y, queries, y_query, 20, 0.1)


def test_labels_may_be_any_numbers() -> None:
    bank, y, queries, y_query = data()
    names = torch.tensor([-3, 1000, 7, 41, 5])
    plain = knn_top1(bank, y, queries, y_query, 20, 0.1)
    assert knn_top1(bank, names[y], queries, names[y_query], 20, 0.1) == plain
    assert knn_top1(bank, y, queries, y_query + 100, 20, 0.1) == 0.0


def test_a_tiny_temperature_is_the_nearest_neighbour() -> None:
    bank, y, queries, _ = data()  # exp(s / tau) alone would overflow
    nearest = knn_predict_labels(bank, y, queries, 1, 1.0)
    assert torch.equal(knn_predict_labels(bank, y, queries, 50, 1e-6), nearest)


def test_autocast_changes_nothing() -> None:
    bank, y, queries, _ = data(M=2000, D=64)
    plain = knn_predict_labels(bank, y, queries, 200, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(knn_predict_labels(bank, y, queries, 200, 0.1), plain)


def test_more_neighbours_than_images_is_refused() -> None:
    bank, y, queries, y_query = data()
    with pytest.raises(UserError, match=r"k=121 and 120 images; set monitor\.knn\.k=120"):
        knn_top1(bank, y, queries, y_query, 121, 0.1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_give_nan(value: float) -> None:
    bank, y, queries, y_query = data()
    queries[3, 2] = value
    assert math.isnan(knn_top1(bank, y, queries, y_query, 5, 0.1))
