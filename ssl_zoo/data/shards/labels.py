"""The labels of images in shards, and the names of their classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.data.shards.beside import ABOUT, class_names
from ssl_zoo.data.shards.index import ShardIndex
from ssl_zoo.data.shards.patterns import Shards
from ssl_zoo.errors import UserError

__all__ = ["ShardLabels", "labels_in", "unnamed"]


@dataclass(frozen=True)
class ShardLabels:
    """A label for each image."""

    numbers: Tensor  # (N,) int64
    classes: tuple[str, ...]


def labels_in(index: ShardIndex, shards: Shards, label: str, key: str) -> ShardLabels | None:
    """Returns the labels that `data.label` names; None where images have none.

    Args:
        index: of the shards.
        shards: what there is.
        label: `auto`, `cls`, `json.FIELD`, `folder` or `none`.
        key: data.train or data.test, for messages.

    Raises:
        UserError: only some images have one; none has, and it is not `auto`; training images are of one class.
    """
    if label == "none":
        return None
    if label != "folder":
        missing = int((index.labels < 0).sum())
        if missing == 0:
            return _checked(torch.from_numpy(index.labels), _named(index.label_names, shards), key, label)
        if missing < len(index) or label != "auto":
            first = int((index.labels < 0).argmax())
            raise UserError(
                f"labels are of all images or of none; {missing} of {len(index)} in {key}='{shards.pattern}' have none "
                f"by data.label={label}, such as '{index.names[first]}' in "
                f"'{shards.found[index.shard_of(first)].url}'; add them, or set data.label=none"
            )
    folders = _folders(index)
    if label == "auto" and (folders is None or len(folders.classes) < 2):
        return None
    if folders is None:
        raise UserError(
            f"data.label=folder takes the folders in shards as classes; some images in {key}='{shards.pattern}' are in "
            "none; set data.label=none"
        )
    return _checked(folders.numbers, folders.classes, key, label)


def unnamed(classes: tuple[str, ...]) -> bool:
    """Returns whether classes are numbers alone, for lack of names beside the shards."""
    return all(_is_number(name.removeprefix("class ")) and name.startswith("class ") for name in classes)


def _checked(numbers: Tensor, classes: tuple[str, ...], key: str, label: str) -> ShardLabels:
    if len(classes) < 2 and key == "data.train":
        raise UserError(
            f"labels must be of two classes or more; those of {key} by data.label={label} are all '{classes[0]}', "
            "where any accuracy would be 100 %; set data.label=none to train without labels"
        )
    return ShardLabels(numbers, classes)


def _named(labels: list[str], shards: Shards) -> tuple[str, ...]:
    """Returns the classes' names: what stands beside the shards for numbers, else the labels themselves.

    Raises:
        UserError: shards of several folders number their classes in different ways, or two numbers have one name.
    """
    folders = {shard.url.rpartition("/")[0]: shard for shard in shards.found}
    named = {folder: names for folder, shard in folders.items() if (names := class_names(shard)) is not None}
    first, names = next(iter(named.items()), ("", list[str]()))
    if not all(_is_number(label) and int(label) < len(names) for label in labels):
        return tuple(f"class {label}" if _is_number(label) else label for label in labels)
    other = next((folder for folder in named if named[folder] != names), None)
    if other is not None:
        raise UserError(
            f"a number is one class in all shards; '{first}/{ABOUT}' and '{other}/{ABOUT}' of '{shards.pattern}' list "
            "other classes; write the shards anew from one folder, or train on one of the two"
        )
    classes = tuple(names[int(label)] for label in labels)
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        both = " and ".join(label for label in labels if names[int(label)] == twice[0])
        raise UserError(
            f"a class has one label; '{twice[0]}' of '{shards.pattern}' has {both}, by '{first}/{ABOUT}'; mend the one "
            "or the other"
        )
    return classes


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _folders(index: ShardIndex) -> ShardLabels | None:
    """Returns the folder of each image, the first below those that all are in; None where one is in none."""
    number: dict[str, int] = {}
    codes = np.fromiter(
        (number.setdefault(name.rpartition("/")[0], len(number)) for name in index.names),
        np.int64,
        len(index),
    )
    parts = [folder.split("/") if folder else [] for folder in number]
    common = 0
    while all(len(part) > common and part[common] == parts[0][common] for part in parts) and len(parts) > 1:
        common += 1
    if len(parts) == 1:
        common = max(0, len(parts[0]) - 1)
    if any(len(part) <= common for part in parts):
        return None
    classes = tuple(sorted({part[common] for part in parts}))
    place = {name: position for position, name in enumerate(classes)}
    numbers = np.array([place[part[common]] for part in parts], np.int64)[codes]
    return ShardLabels(torch.from_numpy(numbers), classes)
