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
from ssl_zoo.monitors.knn import Neighbours


def data(M: int = 120, N: int = 70, D: int = 6, C: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy classes: hard enough that k and temperature change predictions."""
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(C, D, generator=g)
    y, y_query = torch.randint(C, (M,), generator=g), torch.randint(C, (N,), generator=g)
    noise = [1.5 * torch.randn(n, D, generator=g) for n in (M, N)]
    return centres[y] + noise[0], y, centres[y_query] + noise[1], y_query


def naive_predictions(bank: Tensor, labels: Tensor, queries: Tensor, k: int, tau: float) -> list[int]:
    """One query at a time, in Python's floats. Similarities that agree in 10 digits are equal."""
    predictions = []
    for query in queries.double().tolist():
        similarities = []
        for position, (key, label) in enumerate(zip(bank.double().tolist(), labels.tolist(), strict=True)):
            dot = sum(a * b for a, b in zip(query, key, strict=True))
            length = math.hypot(*query) * math.hypot(*key)
            similarities.append((round(dot / length if length else 0.0, 10), -position, label))
        nearest = sorted(similarities, reverse=True)[:k]
        votes: dict[int, float] = {}
        for similarity, _, label in nearest:
            votes[label] = votes.get(label, 0.0) + math.exp((similarity - nearest[0][0]) / tau)
        most = max(votes.values())
        predictions.append(min(label for label, vote in votes.items() if vote > most - 1e-9))
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


def ties() -> tuple[Tensor, Tensor, Tensor]:
    """Each image nine times, of several lengths, shuffled and with labels at random; one of them is zero."""
    g = torch.Generator().manual_seed(3)
    images = torch.randn(20, 67, generator=g)
    images[4] = 0.0
    lengths = 2.0 ** torch.randint(-9, 9, (180, 1), generator=g)  # powers of two, which round nothing
    bank = (images.repeat(9, 1) * lengths)[torch.randperm(180, generator=g)]
    return bank, torch.randint(3, (180,), generator=g), torch.cat([images, torch.randn(5, 67, generator=g)])


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 4, 10, 100])
@pytest.mark.parametrize("chunk", [1, 16, 60, 1000])
def test_equal_similarities_count_in_the_order_of_the_bank(k: int, chunk: int) -> None:
    bank, y, queries = ties()
    expected = naive_predictions(bank, y, queries, k, 0.1)
    assert knn_predict_labels(bank, y, queries, k, 0.1, chunk).tolist() == expected
    turned = naive_predictions(bank.flip(0), y.flip(0), queries, k, 0.1)
    assert (turned != expected) == (k != 100), "the order matters in this data, but where all near ones vote"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@pytest.mark.parametrize("piece", [1, 13, 64, 500])
def test_pieces_and_chunks_change_nothing(chunk: int, piece: int) -> None:
    bank, y, queries, _ = data(M=300, N=40, D=40)
    plain, pieces = Neighbours(queries, 50), Neighbours(queries, 50, chunk)
    plain.add(bank, y)
    for features, labels in zip(torch.split(bank, piece), torch.split(y, piece), strict=True):
        pieces.add(features, labels)
    for k in (1, 20, 50):
        assert torch.equal(plain.predict(k, 0.07), pieces.predict(k, 0.07))
    same = [near.sort(dim=1).values for near in (torch.cat(plain._nearest), torch.cat(pieces._nearest))]
    assert torch.equal(*same), "the same neighbours with the same similarities, to the last bit"


def test_one_search_answers_for_every_k() -> None:
    bank, y, queries, _ = data()
    neighbours = Neighbours(queries, 60, chunk=50)
    neighbours.add(bank, y)
    for k in (1, 9, 60):
        assert torch.equal(neighbours.predict(k, 0.1), knn_predict_labels(bank, y, queries, k, 0.1))
    neighbours.add(-bank, y.flip(0))  # it goes on after an answer
    whole = torch.cat([bank, -bank]), torch.cat([y, y.flip(0)])
    assert torch.equal(neighbours.predict(60, 0.1), knn_predict_labels(*whole, queries, 60, 0.1))


def test_settings_matter_in_this_data() -> None:
    bank, y, queries, _ = data()
    few, many = (knn_predict_labels(bank, y, queries, k, 0.1) for k in (1, 60))
    sharp, flat = (knn_predict_labels(bank, y, queries, 120, tau) for tau in (0.02, 10.0))
    assert not torch.equal(few, many)
    assert not torch.equal(sharp, flat)


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


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_lengths_change_nothing(scale: float) -> None:
    bank, y, queries, _ = data()
    assert torch.equal(
        knn_predict_labels(scale * bank, y, scale * queries, 20, 0.1),
        knn_predict_labels(bank, y, queries, 20, 0.1),
    )


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
@pytest.mark.parametrize("side", ["bank", "queries"])
def test_features_that_are_not_finite_give_nan(value: float, side: str) -> None:
    bank, y, queries, y_query = data()
    {"bank": bank, "queries": queries}[side][3, 2] = value
    assert math.isnan(knn_top1(bank, y, queries, y_query, 5, 0.1))
