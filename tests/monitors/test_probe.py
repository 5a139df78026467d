"""The few-label probe against a classifier fitted by hand, closed cases and its own rules of drawing."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.monitors import few_label_top1, probe_protocol
from ssl_zoo.monitors.probe import draw_labels


def data(M: int, N: int, D: int, C: int, noise: float = 3.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(C, D, generator=g)
    y, y_query = torch.arange(M) % C, torch.arange(N) % C
    x, x_query = (noise * torch.randn(n, D, generator=g) for n in (M, N))
    # Offsets and scales that only standardisation removes.
    scale, offset = torch.logspace(-3, 3, D), 10 * torch.randn(D, generator=g)
    return (x + centres[y]) * scale + offset, y, (x_query + centres[y_query]) * scale + offset, y_query


def by_gradient_descent(x: Tensor, y: Tensor, x_query: Tensor, C: int) -> Tensor:
    """Minimises sum of cross-entropies + ||W||^2 / 2, the objective of C = 1, with torch's own LBFGS."""
    W = torch.zeros(C, x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros(C, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [W, b], max_iter=2000, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ W.T + b, y, reduction="sum") + W.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return (x_query @ W.T + b).argmax(1)


def test_many_classes_of_few_images_are_no_warning() -> None:
    bank, y, queries, y_query = data(M=24, N=30, D=6, C=15)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few_label_top1(bank, y, queries, y_query, labels_per_class=10, draws=1, seed=0)


def test_matches_a_fit_by_hand() -> None:
    bank, y, queries, y_query = data(M=90, N=300, D=12, C=3)
    mean, std = bank.double().mean(0), bank.double().std(0, correction=0)
    x, x_query = (bank.double() - mean) / std, (queries.double() - mean) / std
    result = few_label_top1(bank, y, queries, y_query, labels_per_class=10, draws=3, seed=4)
    expected, right = [], []
    for picks in draw_labels(y.numpy(), 10, 3, seed=4):
        predicted = by_gradient_descent(x[picks], y[picks], x_query, C=3)
        right.append((predicted == y_query).double())
        expected.append(right[-1].mean().item())
    assert result.draws == pytest.approx(expected, abs=1.5 / 300)  # lbfgs stops at 1e-4: a query may flip
    assert result.mean == pytest.approx(np.mean(result.draws))
    assert result.std == pytest.approx(math.sqrt(sum((a - result.mean) ** 2 for a in result.draws) / 2))
    hits = torch.stack(right).mean(0).tolist()  # per query
    assert sum(abs(a - b) > 1e-9 for a, b in zip(result.hits, hits, strict=True)) <= 3
    assert np.mean(result.hits) == pytest.approx(result.mean)
    assert 0.4 < result.mean < 0.95
    assert result.std > 0


def test_separable_classes_and_pure_noise() -> None:
    bank, y, queries, y_query = data(M=200, N=200, D=20, C=4, noise=0.01)
    assert few_label_top1(bank, y, queries, y_query, 1, 3).draws == (1.0, 1.0, 1.0)
    shuffled = y_query[torch.randperm(200, generator=torch.Generator().manual_seed(0))]
    assert few_label_top1(bank, y, queries, shuffled, 10, 5).mean == pytest.approx(0.25, abs=0.1)


def test_affine_maps_of_a_feature_change_nothing() -> None:
    bank, y, queries, y_query = data(M=90, N=300, D=12, C=3)
    plain = few_label_top1(bank, y, queries, y_query, 10, 2)
    assert few_label_top1(4 * bank - 8, y, 4 * queries - 8, y_query, 10, 2).draws == pytest.approx(
        plain.draws, abs=1.5 / 300
    )


def test_draws_are_balanced_and_depend_on_labels_and_seed_alone() -> None:
    y = np.repeat([5, -1, 9], [40, 3, 20])
    draws = draw_labels(y, 7, 4, seed=1)
    for picks in draws:
        assert len(set(picks.tolist())) == len(picks)
        assert {c: int((y[picks] == c).sum()) for c in (5, -1, 9)} == {5: 7, -1: 3, 9: 7}
    assert len({tuple(sorted(picks.tolist())) for picks in draws}) == 4
    again, other = draw_labels(y, 7, 4, seed=1), draw_labels(y, 7, 4, seed=2)
    assert all((a == b).all() for a, b in zip(draws, again, strict=True))
    assert any(set(a.tolist()) != set(b.tolist()) for a, b in zip(draws, other, strict=True))
    fewer = draw_labels(y, 2, 4, seed=1)
    assert all(set(a.tolist()) <= set(b.tolist()) for a, b in zip(fewer, draws, strict=True))


def test_a_fraction_of_each_class() -> None:
    y = np.repeat([5, -1, 9], [200, 3, 30])
    for fraction, expected in (
        (0.01, (2, 1, 1)),
        (0.1, (20, 1, 3)),
        (0.5, (100, 2, 15)),
        (1.0, (200, 3, 30)),
    ):
        for picks in draw_labels(y, None, 3, seed=1, label_fraction=fraction):
            assert tuple(int((y[picks] == c).sum()) for c in (5, -1, 9)) == expected
            assert len(set(picks.tolist())) == len(picks)
    some = draw_labels(y, None, 3, 1, label_fraction=0.1)
    assert all(
        set(a.tolist()) < set(b.tolist()) for a, b in zip(some, draw_labels(y, 25, 3, 1), strict=True)
    ), "the same order is picked from, whether by number or by fraction"


def test_a_fraction_is_a_number_of_labels() -> None:
    bank, y, queries, y_query = data(M=90, N=300, D=12, C=3)
    by_number = few_label_top1(bank, y, queries, y_query, 6, 2, seed=3)
    assert few_label_top1(bank, y, queries, y_query, None, 2, seed=3, label_fraction=0.2) == by_number


def test_a_draw_covers_each_image_alike() -> None:
    counts = np.bincount(np.concatenate(draw_labels(np.zeros(10, np.int64), 3, 2000, seed=0)))
    assert counts == pytest.approx(600, abs=5 * math.sqrt(2000 * 0.3 * 0.7))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_constant_features_are_chance(value: float) -> None:
    _, y, _, y_query = data(M=60, N=80, D=3, C=4)
    result = few_label_top1(torch.full((60, 3), value), y, torch.full((80, 3), value), y_query, 5, 3)
    assert result.draws == (0.25, 0.25, 0.25)


def test_a_constant_feature_beside_others_changes_nothing() -> None:
    bank, y, queries, y_query = data(M=90, N=300, D=12, C=3)
    wider = [torch.cat([x, torch.full((len(x), 2), 0.1)], dim=1) for x in (bank, queries)]
    plain = few_label_top1(bank, y, queries, y_query, 10, 2)
    assert few_label_top1(wider[0], y, wider[1], y_query, 10, 2).draws == plain.draws


def test_classes_that_only_one_side_has() -> None:
    bank, y, queries, y_query = data(M=60, N=80, D=3, C=4)
    assert few_label_top1(bank, y, queries, y_query + 10, 5, 1).mean == 0.0
    single = few_label_top1(bank, torch.full_like(y, 2), queries, y_query, 5, 2)
    assert single.draws == (0.25, 0.25)


def test_one_draw_has_no_deviation_and_not_finite_features_give_nan() -> None:
    bank, y, queries, y_query = data(M=60, N=80, D=3, C=4)
    assert math.isnan(few_label_top1(bank, y, queries, y_query, 5, 1).std)
    bank[0, 0] = math.inf
    result = few_label_top1(bank, y, queries, y_query, 5, 3)
    assert math.isnan(result.mean)
    assert len(result.draws) == 3
    assert result.hits == ()


def test_an_empty_test_set_is_refused() -> None:
    bank, y, queries, y_query = data(M=60, N=80, D=3, C=4)
    with pytest.raises(UserError, match="received 60 and 0"):
        few_label_top1(bank, y, queries[:0], y_query[:0], 5, 1)


def test_silent_at_the_usual_size() -> None:
    bank, y, queries, y_query = data(M=1437, N=360, D=512, C=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few_label_top1(bank, y, queries, y_query, labels_per_class=10, draws=10)


def test_protocol_in_words() -> None:
    assert probe_protocol(10, 5) == (
        "logistic regression (L2, C=1) on frozen standardised features, 10 labels per class, "
        "mean over 5 draws of the labels"
    )
    assert "1 label per class, one draw of the labels" in probe_protocol(1, 1)
    assert "features, 1 % of each class's labels, at least one, mean over 3" in probe_protocol(
        None, 3, label_fraction=0.01
    )
