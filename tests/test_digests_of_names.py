"""Digests over the names of all images, computed in pieces: they are those of the whole text, as runs have recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_zoo.data import Data, FileSplit
from ssl_zoo.data.sampling import drawn_order, sample_classes
from ssl_zoo.embedding import images as listed
from ssl_zoo.embedding.images import list_images
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


@pytest.mark.parametrize("block", [1, 3, 4096])
def test_embedded_images(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "BLOCK", block)
    images = list_images(_data(NAMES), "train")
    rows = [(name, "cat" if number < 7 else "dog", "train") for number, name in enumerate(NAMES)]
    assert list(images.rows()) == rows
    assert list(images.rows(without={0, 9})) == rows[1:9]
    text = "".join(f"{split}\0{file}\0{label}\0" for file, label, split in rows)
    assert images.digest == hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def test_images_of_a_class_are_drawn_as_one_by_one() -> None:
    labels = torch.tensor([2, 0, 2, 5, 0, 2, 0, 0])
    expected, order = [], drawn_order(3)
    for label in (0, 2, 5):
        members = torch.tensor([i for i, other in enumerate(labels.tolist()) if other == label])
        expected += members[order(label, len(members))][:2].tolist()
    assert sample_classes(labels, lambda label, size: 2, drawn_order(3)).tolist() == expected
