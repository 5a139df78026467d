"""The batched sweep against one torch.optim.SGD per pair, the whole against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.frozen_tasks import blobs, task_of
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ssl_zoo.data.sampling import drawn_order, split_classes
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation import linear_sweep
from ssl_zoo.evaluation.linear_sweep import Pair, PairScore, scale_of, train_pairs
from ssl_zoo.evaluation.protocols import linear_cached
from ssl_zoo.evaluation.protocols.linear_cached import choose

pytestmark = pytest.mark.slow


def one_by_one(
    x: Tensor, y: Tensor, positions: Tensor, pair: Pair, C: int, epochs: int, batch: int
) -> nn.Linear:
    """The same training with torch's own parts, for one pair, seed 2."""
    x = (x - x.mean(0)) / x.std(0, correction=0)
    model = nn.Linear(x.shape[1], C)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    groups = [
        {"params": [model.weight], "weight_decay": pair.weight_decay},
        {"params": [model.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=pair.lr, momentum=0.9)
    steps = epochs * math.ceil(len(positions) / batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(2)
    for _ in range(epochs):
        order = positions[torch.randperm(len(positions), generator=generator)]
        for start in range(0, len(order), batch):
            index = order[start : start + batch]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
            schedule.step()
    return model


@pytest.mark.parametrize("batch", [32, 1000])
def test_the_sweep_is_one_sgd_per_pair(batch: int) -> None:
    x, y, *_ = blobs()
    x = x * torch.logspace(-2, 2, 8) + 5  # what standardisation is for
    pairs = [Pair(lr, decay) for lr in (0.01, 0.3) for decay in (0.0, 0.1)]
    positions = torch.arange(0, 200, 2)
    models = train_pairs(x, y, positions, pairs, scale_of(x), 4, epochs=7, batch=batch, seed=2)
    assert models.W.shape == (8, 4, 4)
    for number, pair in enumerate(pairs):
        expected = one_by_one(x, y, positions, pair, 4, 7, batch)
        torch.testing.assert_close(models.W[:, number].T, expected.weight.detach(), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(models.b[number], expected.bias.detach(), rtol=1e-3, atol=1e-5)
    assert (models.W[:, 2] - models.W[:, 3]).abs().max() > 0.01, "weight decay matters here"


def test_chosen_trained_anew_and_tested_once() -> None:
    bank, y, test, y_test = blobs()
    names = torch.tensor([7, -2, 40, 3])
    lr, decay = (0.01, 0.3, 2.0), (0.0, 0.03)
    task = task_of(
        "linear_cached", (bank, names[y], test, names[y_test]), seed=2, lr=lr, weight_decay=decay, epochs=10,
        batch_size=64,
    )  # fmt: skip
    outcome = linear_cached.run(task)
    index = torch.argsort(torch.argsort(names))[y]  # classes by the size of their names
    kept, held = split_classes(index, 0.2, drawn_order(2))
    x, x_test = ((part - bank.mean(0)) / bank.std(0, correction=0) for part in (bank, test))
    top1, losses = {}, {}
    for pair in [Pair(a, b) for a in lr for b in decay]:
        logits = one_by_one(bank, index, kept, pair, 4, 10, 64)(x[held])
        top1[pair] = (logits.argmax(1) == index[held]).double().mean().item()
        losses[pair] = nn.functional.cross_entropy(logits, index[held]).item()
    best = min(top1, key=lambda pair: (-top1[pair], losses[pair]))
    final = one_by_one(bank, index, torch.arange(200), best, 4, 10, 64)
    right = names.sort().values[final(x_test).argmax(1)] == names[y_test]
    assert outcome.top1 == pytest.approx(right.double().mean().item(), abs=1e-9)
    assert (outcome.details["lr"], outcome.details["weight_decay"]) == best
    assert [row["top1_holdout"] for row in outcome.details["sweep"]] == pytest.approx(list(top1.values()))
    assert outcome.rows[0]["top1_holdout"] == pytest.approx(max(top1.values()))
    assert len(set(top1.values())) > 2


@pytest.mark.parametrize("features", ["pixels", "random network"])
def test_within_a_point_of_scikit_learn(features: str) -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32), torch.tensor(digits.target)
    if features == "random network":
        g = torch.Generator().manual_seed(0)
        for width in (96, 64):
            x = (x @ torch.randn(x.shape[1], width, generator=g) / x.shape[1] ** 0.5).relu()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    bank, test = order[:1000], order[1000:]
    outcome = linear_cached.run(task_of("linear_cached", (x[bank], y[bank], x[test], y[test])))
    scale = scale_of(x[bank])
    kept, held = split_classes(y[bank], 0.2, drawn_order(0))
    train, labels = scale(x[bank]).double().numpy(), y[bank].numpy()
    models = [
        LogisticRegression(C=C, max_iter=2000).fit(train[kept], labels[kept])
        for C in (1e-3, 1e-2, 0.1, 1, 10)
    ]
    best = max(models, key=lambda model: model.score(train[held], labels[held]))
    expected = best.set_params(C=best.C).fit(train, labels).score(scale(x[test]).numpy(), y[test].numpy())
    assert outcome.top1 == pytest.approx(expected, abs=0.01)
    assert 0.8 < expected < 0.99


def test_groups_of_pairs_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"lr": (0.01, 0.1, 1.0), "weight_decay": (0.0, 0.1), "epochs": 5}
    plain = linear_cached.run(task_of("linear_cached", blobs(), **settings))
    monkeypatch.setattr(linear_sweep, "WEIGHTS", 8 * 4 * 4)  # four pairs, then two
    monkeypatch.setattr(linear_sweep, "LOGITS", 100)
    grouped = linear_cached.run(task_of("linear_cached", blobs(), **settings))
    assert grouped.details["sweep"] == plain.details["sweep"]
    assert grouped.top1 == plain.top1


def test_the_test_set_has_no_say() -> None:
    bank, y, test, y_test = blobs()
    plain = linear_cached.run(task_of("linear_cached", (bank, y, test, y_test), epochs=5))
    other = linear_cached.run(task_of("linear_cached", (bank, y, -test, y_test.flip(0)), epochs=5))
    assert other.details == plain.details
    assert other.top1 != plain.top1


def test_the_choice() -> None:
    assert choose([PairScore(0.8, 0.5), PairScore(0.9, 0.9), PairScore(0.9, 0.7), PairScore(0.7, 0.1)]) == 2
    assert choose([PairScore(math.nan, math.nan), PairScore(0.1, 9.0)]) == 1


def test_a_pair_that_diverges_is_not_chosen_and_harms_no_other() -> None:
    settings = {"weight_decay": (0.0, 1.0), "epochs": 5, "batch_size": 32}
    outcome = linear_cached.run(task_of("linear_cached", blobs(), lr=(0.1, 1e30), **settings))
    alone = linear_cached.run(task_of("linear_cached", blobs(), lr=(0.1,), **settings))
    assert outcome.details["sweep"][3]["top1_holdout"] is None
    assert outcome.details["sweep"][:2] == alone.details["sweep"]
    assert outcome.top1 == alone.top1


def test_a_choice_at_the_edge_is_said() -> None:
    edges = linear_cached._edges
    assert edges(Pair(0.1, 0.0), (0.01, 0.1, 1.0), (0.0, 0.1)) == []
    assert edges(Pair(0.1, 0.1), (0.1,), (0.1,)) == []
    [lr] = edges(Pair(0.01, 0.0), (0.1, 0.01), (0.0, 0.1))
    assert lr == "the lr chosen, 0.01, is the smallest of linear_cached.lr: extend the list"
    [decay] = edges(Pair(0.1, 0.1), (0.1,), (0.01, 0.1))
    assert "weight_decay chosen, 0.1, is the largest" in decay
    outcome = linear_cached.run(
        task_of("linear_cached", blobs(), lr=(1e-6, 1e-5), weight_decay=(0.0,), epochs=3)
    )
    assert outcome.details["at_edge"][0] in outcome.in_words


def test_scale() -> None:
    x = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-3, 1.0, 1e3]) + 70
    x = torch.cat([x, torch.full((5000, 1), 0.1), torch.zeros(5000, 1)], dim=1)
    scale = scale_of(x)
    np.testing.assert_allclose(scale.std[:3], x.double().std(0, correction=0)[:3], rtol=1e-6)
    assert scale.std[3:].tolist() == [1.0, 1.0]
    assert scale(x)[:, 3:].abs().max() < 1e-7
    assert scale(x)[:, 1:3].mean(0).abs().max() < 1e-4


def test_classes_that_only_the_test_set_has_are_errors() -> None:
    bank, y, test, y_test = blobs(noise=0.01)
    plain = linear_cached.run(task_of("linear_cached", (bank, y, test, y_test), epochs=5))
    assert plain.top1 == 1.0
    other = linear_cached.run(task_of("linear_cached", (bank, y, test, y_test + 2), epochs=5))
    assert other.top1 == 0.0


def test_features_that_are_not_finite_are_not_scored() -> None:
    bank, y, test, y_test = blobs()
    test[0, 0] = torch.nan
    outcome = linear_cached.run(task_of("linear_cached", (bank, y, test, y_test), epochs=2))
    assert outcome.top1 is None
    assert outcome.rows[0]["top1"] is None


def test_classes_of_one_image_are_refused() -> None:
    bank, _, test, y_test = blobs()
    with pytest.raises(UserError, match="200 images, each of another class"):
        linear_cached.check(task_of("linear_cached", (bank, torch.arange(200), test, y_test)))
