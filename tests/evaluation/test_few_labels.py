"""The few-label protocol against scikit-learn by hand, and its rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.frozen_tasks import blobs, task_of
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ssl_zoo.evaluation.protocols import few_labels
from ssl_zoo.monitors import few_label_top1
from ssl_zoo.monitors.probe import draw_labels


@pytest.mark.slow
def test_matches_scikit_learn_by_hand() -> None:
    bank, y, test, y_test = (part.numpy() for part in blobs(M=300))
    scaler = StandardScaler().fit(bank)
    task = task_of("few_labels", blobs(M=300), seed=5, labels_per_class=(3,), label_fraction=(0.2,), draws=4)
    outcome = few_labels.run(task)
    sizes = np.bincount(y)
    for row, number in zip(outcome.rows, ([3] * 4, [round(0.2 * size) for size in sizes]), strict=True):
        top1 = []
        for picks in draw_labels(y, max(sizes), 4, seed=5):
            kept = np.concatenate([picks[y[picks] == c][:n] for c, n in enumerate(number)])
            model = LogisticRegression(max_iter=1000).fit(scaler.transform(bank[kept]), y[kept])
            top1.append(model.score(scaler.transform(test), y_test))
        assert row["images"] == sum(number)
        assert row["top1"] == pytest.approx(np.mean(top1), abs=1.5 / 90)
        assert row["top1_std"] == pytest.approx(np.std(top1, ddof=1), abs=1.5 / 90)
        assert row["top1_std"] > 0
    assert [row["labels"] for row in outcome.rows] == ["3 per class", "20 % of each class"]


@pytest.mark.slow
def test_the_draws_are_those_of_the_probe_after_training() -> None:
    outcome = few_labels.run(task_of("few_labels", blobs()))
    probe = few_label_top1(*blobs(), labels_per_class=10, draws=10)
    assert (outcome.top1, outcome.top1_std) == (probe.mean, probe.std)
    assert outcome.details["draws"]["10 per class"] == list(probe.draws)
    other = few_labels.run(task_of("few_labels", blobs(), seed=1))
    assert other.details["draws"] != outcome.details["draws"]


@pytest.mark.parametrize(
    ("per_class", "share", "headline"),
    [
        ((1, 5, 10), (0.01, 0.1), "10 per class"),
        ((10, 20), (), "10 per class"),
        ((20, 5), (0.1,), "5 per class"),
        ((), (0.1, 0.5), "50 % of each class"),
    ],
)
def test_the_headline_follows_from_the_settings_alone(
    per_class: tuple[int, ...], share: tuple[float, ...], headline: str
) -> None:
    outcome = few_labels.run(
        task_of("few_labels", blobs(), labels_per_class=per_class, label_fraction=share, draws=2)
    )
    assert outcome.details["headline"] == headline
    assert outcome.top1 == {row["labels"]: row["top1"] for row in outcome.rows}[headline]
    assert f"the headline is {headline}" in outcome.in_words


def test_all_labels_are_drawn_once() -> None:
    task = task_of("few_labels", blobs(), labels_per_class=(5, 1000), label_fraction=(0.5, 1.0), draws=3)
    outcome = few_labels.run(task)
    draws = {row["labels"]: (row["draws"], row["images"], row["top1_std"] is None) for row in outcome.rows}
    assert draws["5 per class"] == (3, 20, False)
    assert draws["1000 per class"] == draws["100 % of each class"] == (1, 200, True)
    assert draws["50 % of each class"][::2] == (3, False)
    assert "one where all labels are drawn (1000 per class, 100 % of each class)" in outcome.in_words
    smallest = int(torch.bincount(blobs()[1]).min())
    assert f"a class with fewer gives all it has (the smallest {smallest})" in outcome.in_words


def test_at_least_one_label_of_each_class() -> None:
    bank, y, test, y_test = blobs()
    y = torch.where(torch.arange(200) < 3, 9, y)  # a class of three images
    outcome = few_labels.run(
        task_of("few_labels", (bank, y, test, y_test), labels_per_class=(), label_fraction=(0.01,), draws=2)
    )
    assert outcome.rows[0]["images"] == 5


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_shares_outside_0_to_1_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="label_fraction"):
        task_of("few_labels", blobs(), label_fraction=(share,))


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match=r"both empty; set few_labels\.labels_per_class=\[1,5,10\]"):
        task_of("few_labels", blobs(), labels_per_class=(), label_fraction=())


def test_features_that_are_not_finite_are_not_scored() -> None:
    bank, y, test, y_test = blobs()
    test[0, 0] = torch.inf
    outcome = few_labels.run(task_of("few_labels", (bank, y, test, y_test), draws=2))
    assert outcome.top1 is None
    assert {row["top1"] for row in outcome.rows} == {None}
