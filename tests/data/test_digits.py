"""The digits, against scikit-learn, and what `load_data` does for every source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import MemorySplit, load_data
from ssl_zoo.errors import UserError


def _config(channels: int = 1, **keys: Any) -> Any:
    return DataConfig(
        name="digits",
        source="digits",
        channels=channels,
        mean=(0.3,) * channels,
        std=(0.3,) * channels,
        **keys,
    )


def _rows(split: Any) -> Any:
    """The images as sorted 8x8 scans with values 0..16 and their label."""
    scans = np.rint(split.images[:, 0].numpy().reshape(len(split), 64) * (16 / 255)).astype(int)
    return sorted(map(tuple, np.column_stack([scans, split.labels.numpy()])))


def test_digits_are_scikit_learns() -> None:
    data = load_data(_config())
    reference = load_digits()
    expected = sorted(map(tuple, np.column_stack([reference.data.astype(int), reference.target])))
    assert sorted(_rows(data.train) + _rows(data.test)) == expected
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)  # type: ignore[attr-defined]
    values = {round(value * 255 / 16) for value in range(17)}
    assert set(data.train.images.unique().tolist()) == values  # type: ignore[attr-defined]
    assert isinstance(data.train, MemorySplit)
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert (data.classes, data.channels, data.skipped) == (tuple("0123456789"), 1, ())
    assert data.labelled is data.train


def test_the_split_is_stratified_and_fixed() -> None:
    data, reference = load_data(_config()), load_digits()
    rows = np.column_stack([reference.data.astype(int), reference.target])
    train, test = train_test_split(rows, test_size=360, stratify=reference.target, random_state=0)
    assert _rows(data.train) == sorted(map(tuple, train))
    assert _rows(data.test) == sorted(map(tuple, test))
    share = np.bincount(data.test.labels) / np.bincount(reference.target)
    assert (abs(share - 360 / 1797) < 0.005).all()


def test_gray_digits_as_colour() -> None:
    data = load_data(_config(channels=3))
    assert data.channels == data.train.channels == 3
    assert torch.equal(data.train.images[:, 2], load_data(_config()).train.images[:, 0])  # type: ignore[attr-defined]


def test_limit_and_holdout() -> None:
    whole, data = load_data(_config()), load_data(_config(limit=200, holdout=0.1))
    assert torch.bincount(data.train.labels).tolist() == [20] * 10
    assert data.labelled is data.train
    assert len(data.test) == 144
    remaining = _rows(whole.train)
    for row in _rows(data.train) + _rows(data.test):
        remaining.remove(row)  # fails if a row is in both, or in the real test set
    assert len(remaining) == 1437 - 200 - 144
    assert torch.equal(load_data(_config(limit=200, holdout=0.1)).train.images, data.train.images)  # type: ignore[attr-defined]


def test_limit_alone_leaves_the_test_set() -> None:
    whole, data = load_data(_config()), load_data(_config(limit=25))
    assert torch.bincount(data.train.labels).tolist() == [3] * 5 + [2] * 5
    assert torch.equal(data.test.images, whole.test.images)


@pytest.mark.parametrize("key", ["train", "test"])
def test_a_folder_that_is_not_read_is_refused(key: str) -> None:
    with pytest.raises(UserError) as error:
        load_data(_config(**{key: "somewhere"}))
    for phrase in (
        f"data.{key} is read with data.source=imagefolder only",
        "'somewhere'",
        "source=digits",
        "leave it out",
    ):
        assert phrase in str(error.value)


def test_a_limit_beyond_the_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.limit must be at most .* received 1438 for 1437"):
        load_data(_config(limit=1438))
