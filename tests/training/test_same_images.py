"""Processes that have different training images are refused before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.data import Data, MemorySplit
from ssl_zoo.errors import UserError
from ssl_zoo.training import same_images


def _data(
    count: int = 4, labels: list[int] | None = None, names: str = "abcd", digest: str | None = None
) -> Data:
    known = None if labels is None else torch.tensor(labels)
    train = MemorySplit(torch.zeros(count, 3, 2, 2, dtype=torch.uint8), known, list(names))
    return Data(train, None, None, None, 3, digest=digest)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (_data(3, [0, 1, 0], "abc"), r"received 4 of data=x in rank 0 and 3 in rank 1"),
        (_data(4, [0, 1, 1, 1]), r"and other 4 in rank 1"),
        (_data(4, [0, 1, 0, 1], "abce"), r"and other 4 in rank 1"),
        (_data(4, [0, 1, 0, 1], digest="1"), r"and other 4 in rank 1"),
        (_data(4, None), r"and other 4 in rank 1"),
        (_data(4, [0, 1, 0, 1]), None),
    ],
)
def test_processes_have_the_same_images(other: Data, message: str | None, monkeypatch: Any) -> None:
    values: list[Any] = []

    def gathered(value: Any) -> list[Any]:
        values.append(value)
        return values

    monkeypatch.setattr(same_images, "from_all", gathered)
    monkeypatch.setattr(same_images, "world_size", lambda: 2)
    unused: Any = None
    same_images.CheckImages(_data(4, [0, 1, 0, 1]), "data=x").setup(unused, unused, "fit")
    check = same_images.CheckImages(other, "data=x")
    if message is None:
        check.setup(unused, unused, "fit")
    else:
        with pytest.raises(UserError, match=message):
            check.setup(unused, unused, "fit")


def test_a_training_looks_at_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(same_images, "world_size", lambda: 2)
    monkeypatch.setattr(same_images, "from_all", lambda value: [value, (value[0] + 1, value[1])])
    with pytest.raises(
        UserError, match=r"all processes train on the same images; received \d+ of data=digits"
    ):
        ssl_zoo.train([*overrides("simsiam"), f"run_dir={tmp_path / 'run'}"], silent=True)
