"""The images that are embedded, in order: one split or two, with the file and the label of each."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.data import Data, FileSplit, MemorySplit, Split
from ssl_zoo.errors import UserError

__all__ = ["ImageList", "ImageRow", "Part", "list_images"]


BLOCK = 4096  # images whose names or labels are read at a time


class ImageRow(NamedTuple):
    """The columns beside the features of an image."""

    file: str  # path relative to the folder; of embedded data the position in the split
    label: str | None  # name of the class
    split: str  # train or test


class Part(NamedTuple):
    """A split."""

    name: str  # train or test
    split: Split
    labels: Tensor | None  # (n,) int64 of the first n images; the others have none


@dataclass(frozen=True)
class ImageList:
    """Images of all parts, numbered consecutively."""

    parts: tuple[Part, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(len(part.split) for part in self.parts)

    @property
    def digest(self) -> str:
        """Twelve hex digits of files and labels, of embedded data of its pixels: equal for equal lists of images."""
        sha = hashlib.sha256()
        rows = (f"{split}\0{file}\0{label or ''}\0" for file, label, split in self.rows())
        while block := "".join(itertools.islice(rows, BLOCK)):
            sha.update(block.encode(errors="surrogateescape"))
        for part in self.parts:
            if part.split.names is None and isinstance(
                part.split, MemorySplit
            ):  # a Dataset has its own digest
                sha.update(part.split.images.numpy().data)
        return sha.hexdigest()[:12]

    @property
    def stamp(self) -> str | None:
        """Twelve hex digits of each file's size and time of change; None of embedded data.

        Equal while no file is written anew, on this machine alone: a copy of a folder is another.
        """
        sha, files = hashlib.sha256(), False
        for part in self.parts:
            if not isinstance(part.split, FileSplit):
                continue
            files, prefix = True, os.path.join(part.split.root, "")
            for name in part.split.names:
                try:
                    status = os.stat(prefix + name)
                    sha.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
                except OSError:  # gone since it was listed: its reader will report it
                    sha.update(b"gone\n")
        return sha.hexdigest()[:12] if files else None

    def file(self, number: int) -> str:
        """The file of an image; of embedded data its position in the split."""
        for _, split, _ in self.parts:
            if number < len(split):
                return str(number) if split.names is None else split.names[number]
            number -= len(split)
        raise IndexError(number)

    def rows(self, without: Container[int] = ()) -> Iterator[ImageRow]:
        """Yields the row of each image, but for the images `without`."""
        number = itertools.count()
        for name, split, labels in self.parts:
            files = map(str, range(len(split))) if split.names is None else split.names
            for file, label in zip(
                files, itertools.chain(self._classes_of(labels), itertools.repeat(None)), strict=False
            ):
                if next(number) not in without:
                    yield ImageRow(file, label, name)

    def _classes_of(self, labels: Tensor | None) -> Iterator[str]:
        """Yields the class of each label (n,)."""
        for block in () if labels is None else torch.split(labels, BLOCK):
            yield from map(self.classes.__getitem__, block.tolist())

    def after(self, done: int) -> Iterator[tuple[int, Split]]:
        """Yields the images after the first `done`, in pieces: the number of a piece's first image, and the piece."""
        first = 0
        for _, split, _ in self.parts:
            if done <= first:
                yield first, split
            elif done < first + len(split):
                yield done, split.select(torch.arange(done - first, len(split)))
            first += len(split)


def list_images(data: Data, split: str) -> ImageList:
    """Returns the images that `split` names: `train`, `test`, or `all` that there are.

    Raises:
        UserError: there is no test set.
    """
    parts = []
    if split != "test":
        labels = data.train.labels
        if labels is None and data.labelled is not None and _begins_with_labelled(data):
            labels = data.labelled.labels
        parts.append(Part("train", data.train, labels))
    if split != "train" and data.test is not None:
        parts.append(Part("test", data.test, data.test.labels))
    if not parts:
        raise UserError(
            "split=test needs test images, and the data has none; set data.test=FOLDER, or data.holdout=0.2 for a "
            "part of the training images"
        )
    return ImageList(tuple(parts), data.classes or ())


def _begins_with_labelled(data: Data) -> bool:
    """Whether the labelled images are the first of `train`, as those of STL-10 are unless data.limit drew a part."""
    train, labelled = data.train, data.labelled
    if (
        not isinstance(train, MemorySplit)
        or not isinstance(labelled, MemorySplit)
        or len(labelled) > len(train)
    ):
        return False
    return torch.equal(train.images[: len(labelled)], labelled.images)
