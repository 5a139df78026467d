"""The kNN protocol against lightly's kNN, and its rules; the search has tests of its own in tests/monitors."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest
import torch
from helpers.frozen_tasks import FrozenTask, blobs, task_of
from lightly.utils.benchmarking import knn_predict
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.data import Split
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.protocols import knn


@pytest.mark.parametrize("extracted", [True, False])
@pytest.mark.parametrize("chunk", [7, 64, 1000])
def test_every_row_is_lightlys(extracted: bool, chunk: int) -> None:
    bank, y, test, y_test = blobs()
    task = task_of(
        "knn",
        (bank, y, test, y_test),
        extracted=extracted,
        k=(5, 40, 200),
        temperature=(0.02, 0.1),
        chunk_size=chunk,
    )
    rows = knn.run(task).rows
    assert [(row["k"], row["temperature"]) for row in rows] == [
        (k, tau) for k in (5, 40, 200) for tau in (0.02, 0.1)
    ]
    for row in rows:
        predicted = knn_predict(
            normalize(test, dim=1), normalize(bank, dim=1).T, y, 4, row["k"], row["temperature"]
        )[:, 0]
        assert row["top1"] == pytest.approx((predicted == y_test).double().mean().item(), abs=1e-9)
    assert len({row["top1"] for row in rows}) >= 3, "the settings matter in this data"


def test_features_are_streamed_or_those_that_are_there() -> None:
    streamed, held = task_of("knn", blobs(), extracted=False), task_of("knn", blobs())
    assert knn.run(streamed) == knn.run(held)
    assert isinstance(streamed, FrozenTask)
    assert isinstance(held, FrozenTask)
    assert (streamed.streamed, held.streamed) == (2, 0)
    assert "features" not in streamed.shared


def test_the_bank_is_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[weakref.ref[Tensor]] = []
    most = 0

    def watched(task: FrozenTask, split: Split) -> Iterator[Tensor]:
        nonlocal most
        for part in torch.split(split.features, 10):  # type: ignore[attr-defined]
            batch = part.clone()
            batches.append(weakref.ref(batch))
            yield batch
            del batch
            most = max(most, sum(ref() is not None for ref in batches[9:]))  # the first 9 are the test set

    monkeypatch.setattr(FrozenTask, "stream", watched)
    knn.run(task_of("knn", blobs(M=1000), extracted=False, chunk_size=30))
    assert len(batches) == 109
    assert most <= 4, "a chunk of the bank at most, and the batch that comes"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (3, (1,)),
        (50, (5,)),
        (100, (10,)),
        (199, (10, 19)),
        (1437, (10, 20, 100, 143)),
        (50000, (10, 20, 100, 200)),
    ],
)
def test_k_by_itself(size: int, expected: tuple[int, ...]) -> None:
    data = (torch.zeros(size, 1), torch.zeros(size, dtype=torch.int64))
    assert knn._neighbour_counts(task_of("knn", (*data, *data))) == expected


@pytest.mark.parametrize(
    ("k", "temperature", "headline"),
    [
        ((10, 20, 100, 200), (0.07, 0.1), (20, 0.1)),
        ((10, 100), (0.07,), (10, 0.07)),
        ((300, 150, 5), (1.0, 0.2), (5, 0.2)),
        ((20, 20, 10), (0.1, 0.1), (20, 0.1)),
    ],
)
def test_the_headline_follows_from_the_settings_alone(
    k: tuple[int, ...], temperature: tuple[float, ...], headline: tuple[int, float]
) -> None:
    """A run on these 400 images would have k = 40 and T = 0.1."""
    outcome = knn.run(task_of("knn", blobs(M=400), k=k, temperature=temperature))
    assert (outcome.details["k"], outcome.details["temperature"]) == headline
    assert outcome.top1 == {(row["k"], row["temperature"]): row["top1"] for row in outcome.rows}[headline]
    assert f"the headline is k={headline[0]}, T={headline[1]:g}" in outcome.in_words
    assert len(outcome.rows) == len(set(k)) * len(set(temperature))


def test_more_neighbours_than_images_are_refused_before_anything_is_extracted() -> None:
    task = task_of("knn", blobs(M=120), extracted=False, k=(10, 121, 500))
    with pytest.raises(UserError, match=r"images, 120; received 500; set knn\.k=\[10\] or null"):
        knn.check(task)
    with pytest.raises(UserError, match=r"set knn\.k=\[12\]"):
        knn.check(task_of("knn", blobs(M=120), extracted=False, k=(121,)))
    knn.check(task_of("knn", blobs(M=120), extracted=False, k=(120,)))
    assert isinstance(task, FrozenTask)
    assert task.streamed == 0


def test_features_that_are_not_finite_are_not_scored() -> None:
    bank, y, test, y_test = blobs()
    bank[150, 3] = torch.nan
    outcome = knn.run(task_of("knn", (bank, y, test, y_test), extracted=False))
    assert outcome.top1 is None
    assert {row["top1"] for row in outcome.rows} == {None}
