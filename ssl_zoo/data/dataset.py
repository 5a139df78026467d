"""A Dataset that was passed from Python, as a data source: its images in memory, or read in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from torch.utils.data import Subset

from ssl_zoo.config.schema import DatasetConfig
from ssl_zoo.data.bands import Bands
from ssl_zoo.data.cache import decode_all
from ssl_zoo.data.decode import Unreadable
from ssl_zoo.data.given import given
from ssl_zoo.data.item import image_of_item, label_of, split_item
from ssl_zoo.data.memory_split import MemorySplit
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.reader_split import ReaderSplit
from ssl_zoo.data.split import Data, Split
from ssl_zoo.data.workers import Work, run_tasks
from ssl_zoo.errors import UserError

__all__ = ["DatasetReader", "DatasetSplit", "dataset"]

_CHUNK = 512  # labels per task
FIX = "mend the Dataset's item"


class DatasetReader(ImageReader):
    """Images of a Dataset, at the given positions (N,)."""

    def __init__(self, items: Any, positions: Tensor, channels: int, bit_depth: int) -> None:
        self.items, self.positions = items, positions
        self.channels, self.bit_depth = channels, bit_depth

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, position: int) -> Image | Bands:
        item = self.items[int(self.positions[position])]
        try:
            return image_of_item(split_item(item)[0], self.channels, self.bit_depth)
        except ValueError as error:
            raise Unreadable(self.name(position), error, FIX) from error

    def name(self, position: int) -> str:
        return f"item {int(self.positions[position])}"


class DatasetSplit(ReaderSplit):
    """Images of a Dataset, which worker processes read."""

    names = None
    reader: DatasetReader

    def __init__(self, reader: DatasetReader, labels: Tensor | None, workers: int) -> None:
        super().__init__(reader, labels, workers, None)

    def select(self, indices: Tensor | Sequence[int]) -> DatasetSplit:
        index, reader = torch.as_tensor(indices, dtype=torch.int64), self.reader
        chosen = DatasetReader(reader.items, reader.positions[index], reader.channels, reader.bit_depth)
        labels = None if self.labels is None else self.labels[index]
        return DatasetSplit(chosen, labels, self.workers).resized(self.interpolation)


def dataset(config: DatasetConfig) -> Data:
    """Returns the images of the Dataset that the call brings along; see `ssl_zoo.data.given`.

    Small images of one size are kept in memory, as far as `data.cache_mb` goes. With labels it has classes: all that
    the training items have, named by the Dataset's `classes` where there are as many.

    Raises:
        UserError: the call brings none, or another than the run was begun with; an item is wrong.
    """
    passed = given()
    if passed is None:
        which = f" (a {config.dataset} of {config.length} images)" if config.dataset else ""
        raise UserError(
            f"data.source=dataset reads a Dataset that is passed from Python{which}; received none; call "
            "ssl_zoo.train, evaluate or embed with data=dataset, or name other images, for instance data=imagefolder "
            "data.train=FOLDER"
        )
    if (config.length, config.digest) != (len(passed.train), passed.digest):
        raise UserError(
            f"the run is of a {config.dataset} of {config.length} images with digest {config.digest}; received a "
            f"{passed.kind} of {len(passed.train)} with digest {passed.digest}; pass the same Dataset, with the same "
            "test= as well, or begin another run in another run_dir"
        )
    if config.on_error == "skip":
        raise UserError(
            "data.on_error=skip leaves out files; received it with a Dataset; leave bad items out of the Dataset"
        )
    labels = _labels("data", passed.train, config.workers)
    cache = config.cache_mb * 2**20
    present = [] if labels is None else sorted(set(labels))
    train = _split("data", passed.train, _numbered(labels, present), config, cache)
    test = None
    if passed.test is not None and not config.holdout:
        if isinstance(train, MemorySplit):
            cache -= train.images.nbytes
        tested = _labels("test", passed.test, config.workers)
        if labels is None or tested is None or not set(tested) <= set(labels):
            raise UserError(
                "test= measures accuracy, so that it has labels, and none that data= has not; received "
                f"{_in_words(labels)} in data= and {_in_words(tested)} in test=; pass labels in both, or no test="
            )
        test = _split("test", passed.test, _numbered(tested, present), config, cache)
    if labels is None:
        return Data(train, None, test, None, config.channels)
    if len(present) < 2:
        raise UserError(
            f"labels must be of two classes or more; received {_in_words(labels)} in data=, where any accuracy would "
            "be 100 %; return the image alone to train without labels"
        )
    names = getattr(passed.train, "classes", ())
    known = isinstance(names, (list, tuple)) and len(names) > present[-1]
    classes = tuple(str(names[label] if known else label) for label in present)
    return Data(train, train, test, classes, config.channels)


def _split(key: str, items: Any, labels: Tensor | None, config: DatasetConfig, cache: float) -> Split:
    positions = torch.arange(len(items))
    reader = DatasetReader(items, positions, config.channels, config.bit_depth)
    decoded = decode_all(reader, config.workers, cache, positions)
    if decoded is None:
        return DatasetSplit(reader, labels, config.workers)
    images, faults = decoded
    if faults:
        position, reason = next(iter(faults.items()))
        raise UserError(f"every item of {key}= must be an image; item {position} is not: {reason}; {FIX}")
    return MemorySplit(images, labels)


def _numbered(labels: list[int] | None, present: list[int]) -> Tensor | None:
    """Returns labels (N,) as positions among those that are present."""
    if labels is None:
        return None
    number = {label: position for position, label in enumerate(present)}
    return torch.tensor([number[label] for label in labels])


def _in_words(labels: list[int] | None) -> str:
    return "no labels" if labels is None else f"labels of {len(set(labels))} classes"


def _labels(key: str, items: Any, workers: int) -> list[int] | None:
    """Returns each item's label, by `targets` where the Dataset has them, else by reading all items once.

    Raises:
        UserError: a label is no whole number, or only some items have one.
    """
    if split_item(items[0])[1] is None:
        return None
    try:
        targets = _targets(items)
        if targets is not None and len(targets) == len(items):
            labels = [label_of(label) for label in targets]
            step = max(1, len(items) // 64)
            if all(label_of(split_item(items[i])[1]) == labels[i] for i in range(0, len(items), step)):
                return labels
        chunks = torch.split(torch.arange(len(items)), _CHUNK)
        return [label for part in run_tasks(_LabelWork(items), chunks, workers) for label in part]
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"labels of {key}= must be whole numbers, one per item: {error}; {FIX}") from error


def _targets(items: Any) -> Any:
    """Returns torchvision's attribute `targets`, also of a part; None where there is none."""
    if isinstance(items, Subset):
        whole = _targets(items.dataset)
        return None if whole is None else [whole[position] for position in items.indices]
    return getattr(items, "targets", None)


class _LabelWork(Work[Tensor, "list[int]"]):
    """Positions (n,) -> the labels of these items."""

    def __init__(self, items: Any) -> None:
        self._items = items

    def do(self, task: Tensor) -> list[int]:
        labels = []
        for number in task.tolist():
            try:
                labels.append(label_of(split_item(self._items[number])[1]))
            except ValueError as error:
                raise Unreadable(f"item {number}", error, FIX) from error
        return labels
