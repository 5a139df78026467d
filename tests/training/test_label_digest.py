"""The digest of labels and names, computed in pieces: it is that of the whole text, as checkpoints hold it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_zoo.data import Data, FileSplit
from ssl_zoo.training import labels as module
from ssl_zoo.training.labels import label_record

NAMES = (*(f"cat/{number}'s.png" for number in range(7)), 'dog/"x".png', "dog/é.png", "dog/\udcff.png")


def _data(names: tuple[str, ...]) -> Data:
    split = FileSplit(Path("folder"), names, torch.arange(len(names)) // 7, 3, 0)
    return Data(split, split, None, ("cat", "dog"), 3)


@pytest.mark.parametrize("block", [1, 3, 10, 4096])
@pytest.mark.parametrize("count", [1, 9, 10])
def test_labels_with_names(block: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    data: Any = _data(NAMES[-count:])
    text = repr((data.train.labels.tolist(), NAMES[-count:]))
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]
    assert label_record(data)["labels_digest"] == digest
    data.train.names = None
    text = repr((data.train.labels.tolist(), None))
    assert label_record(data)["labels_digest"] == hashlib.sha256(text.encode()).hexdigest()[:12]
