"""The labels of the training images, for a method that asks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data
from ssl_zoo.errors import UserError
from ssl_zoo.training.resume import Saved

__all__ = ["Labels", "check_labels", "label_record", "labels_for"]

BLOCK = 4096  # labels or names that are turned into text at a time
FIX = "choose data whose training images all have labels, such as a folder with a folder for each class"


class Labels(NamedTuple):
    """What `Method.take_labels` takes."""

    labels: Tensor  # (images,) int64
    classes: int


def labels_for(config: RunConfig, data: Data) -> Labels | None:
    """Returns the labels of all training images; None for a method that does not ask for them.

    Raises:
        UserError: it asks for them and there are none, or of some images alone, or of one class.
    """
    if not METHODS.get(config.method.name).load().needs_labels:
        return None
    rule = f"method={config.method.name} needs the label of each training image"
    count = len(data.train)
    if data.labelled is None or data.classes is None:
        raise UserError(f"{rule}; {data_name(config)} has none; {FIX}")
    labels = data.train.labels
    if labels is None or bool((labels < 0).any()):
        known = len(data.labelled) if labels is None else int((labels >= 0).sum())
        raise UserError(
            f"{rule}; of {data_name(config)} {known:,} of {count:,} have one; {FIX}, or train another method and "
            "fine-tune on those with labels, ssl-zoo eval protocol=finetune"
        )
    if len(data.classes) < 2:
        raise UserError(f"{rule}, of two classes or more; {data_name(config)} has one; {FIX}")
    return Labels(labels, len(data.classes))


def label_record(data: Data) -> dict[str, Any]:
    """Returns what a checkpoint holds of the labels: the number and names of the classes, and a digest.

    The digest is of the label and, where there is one, the path of each image.
    """
    assert data.train.labels is not None
    assert data.classes is not None
    digest = _digest(data.train.labels, data.train.names)
    return {"classes": len(data.classes), "class_names": list(data.classes), "labels_digest": digest}


def _digest(labels: Tensor, names: Sequence[str] | None) -> str:
    """Returns twelve hex digits of `repr((labels, names))`, a list and a tuple; of a million not all at once."""
    sha = hashlib.sha256(b"([")
    for number, some in enumerate(torch.split(labels, BLOCK)):
        sha.update(((", " if number else "") + repr(some.tolist())[1:-1]).encode())
    sha.update(b"], ")
    if names is None:
        sha.update(b"None")
    else:
        texts = map(repr, names)
        sha.update(b"(")
        for number, block in enumerate(iter(lambda: list(islice(texts, BLOCK)), [])):
            sha.update(((", " if number else "") + ", ".join(block)).encode(errors="surrogateescape"))
        sha.update(b",)" if len(names) == 1 else b")")
    sha.update(b")")
    return sha.hexdigest()[:12]


def check_labels(saved: Saved, data: Data, config: RunConfig) -> None:
    """Checks that a run continues with the labels that it was begun with, as far as its checkpoint tells them.

    Raises:
        UserError: the classes, or the labels of the images, are others.
    """
    now = label_record(data)
    key = next((key for key in now if saved.stamp.get(key, now[key]) != now[key]), None)
    if key is None:
        return
    raise UserError(
        f"resume continues with the same labels; '{saved.path}' was trained with {_in_words(saved.stamp, now, key)}, "
        f"and {data_name(config)} now has {_in_words(now, saved.stamp, key)}; give the images the labels that they "
        "had, or start anew in another run_dir"
    )


def _in_words(record: Mapping[str, Any], other: Mapping[str, Any], key: str) -> str:
    """Describes the labels of one record by what is not so in the other."""
    if key == "classes":
        return f"{record[key]} classes"
    if key == "labels_digest":
        return f"labels of digest {record[key]}"
    number, name = next(
        (n, a) for n, (a, b) in enumerate(zip(record[key], other[key], strict=True)) if a != b
    )
    return f"'{name}' as class {number}"


def data_name(config: RunConfig) -> str:
    """Returns how the data was named."""
    return config.data.named
