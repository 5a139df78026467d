"""Images of which some turn out to be unreadable only when they are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ssl_zoo.data.decode import Unreadable, to_array
from ssl_zoo.data.photo import TYPES
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.reader_split import ReaderSplit
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.workers import Work, run_tasks

__all__ = ["SkippingSplit", "skipping"]

Faults = dict[int, str]  # position -> why it is unreadable


class SkippingSplit(ReaderSplit):
    """A split whose unreadable images are black instead of an error, so that batches keep their composition.

    They are listed in `faults`.
    """

    def __init__(self, split: ReaderSplit) -> None:
        super().__init__(split.reader, split.labels, split.workers, split.unreadable, split.groups)
        self.faults: Faults = {}
        self.names, self.interpolation, self._split = split.names, split.interpolation, split

    def select(self, indices: Tensor | Sequence[int]) -> ReaderSplit:
        return self._split.select(indices)

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        work = _SkippingWork(self.reader, size, self.interpolation)
        batches = self.reader.prepared(torch.split(torch.arange(len(self)), batch_size))
        start = 0
        for images, faults in run_tasks(work, batches, self.workers, pin=True):
            self.faults = faults
            if self.unreadable is not None:
                self.unreadable |= {self.reader.name(start + row): why for row, why in faults.items()}
            start += len(images)
            yield images


def skipping(split: Split) -> Split:
    """Returns the split, skipping unreadable images where `data.on_error=skip` asks for that."""
    return SkippingSplit(split) if isinstance(split, ReaderSplit) and split.unreadable is not None else split


class _SkippingWork(Work[Tensor, "tuple[Tensor, Faults]"]):
    """Positions (n,) -> the evaluation view, (n, C, size, size), zero where unreadable, and the reasons."""

    def __init__(self, reader: ImageReader, size: int, interpolation: str) -> None:
        self._reader, self._size, self._interpolation = reader, size, interpolation

    def do(self, task: Tensor) -> tuple[Tensor, Faults]:
        reader = self._reader
        images = self.memory.images(len(task), reader.channels, self._size, TYPES[reader.bit_depth])
        faults: Faults = {}
        for row, position in enumerate(task.tolist()):
            try:
                image = reader.read(position)
            except Unreadable as error:
                images[row], faults[row] = 0, error.reason
                continue
            view = plain_view(image, self._size, self._interpolation)
            images[row] = torch.from_numpy(to_array(view).copy())
        return images, faults
