"""Image files of which some turn out to be unreadable only when they are decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.data.bands import DTYPES
from ssl_zoo.data.decode import Unreadable, to_array
from ssl_zoo.data.file_split import FileSplit
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.workers import Work, run_tasks

__all__ = ["SkippingSplit", "skipping"]

Faults = dict[int, str]  # position -> why it is unreadable


class SkippingSplit(FileSplit):
    """A split whose unreadable images are black instead of an error, so that batches keep their composition.

    They are listed in `faults`.
    """

    def __init__(self, split: FileSplit) -> None:
        super().__init__(
            split.root,
            split.names,
            split.labels,
            split.channels,
            split.workers,
            split.unreadable,
            split.bit_depth,
        )
        self.faults: Faults = {}
        self.interpolation = split.interpolation

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        work = _SkippingWork(self.reader, size, self.interpolation)
        batches = torch.split(torch.arange(len(self)), batch_size)
        start = 0
        for images, faults in run_tasks(work, batches, self.workers, pin=True):
            self.faults = faults
            if self.unreadable is not None:
                self.unreadable |= {
                    os.path.join(self.root, self.names[start + row]): why for row, why in faults.items()
                }
            start += len(images)
            yield images


def skipping(split: Split) -> Split:
    """Returns the split, skipping unreadable files where `data.on_error=skip` asks for that."""
    return SkippingSplit(split) if isinstance(split, FileSplit) and split.unreadable is not None else split


class _SkippingWork(Work[Tensor, "tuple[Tensor, Faults]"]):
    """Positions (n,) -> the evaluation view, (n, C, size, size), zero where unreadable, and the reasons."""

    def __init__(self, reader: ImageReader, size: int, interpolation: str) -> None:
        self._reader, self._size, self._interpolation = reader, size, interpolation

    def do(self, task: Tensor) -> tuple[Tensor, Faults]:
        reader = self._reader
        images = np.zeros((len(task), reader.channels, self._size, self._size), DTYPES[reader.bit_depth])
        faults: Faults = {}
        for row, position in enumerate(task.tolist()):
            try:
                image = reader.read(position)
            except Unreadable as error:
                faults[row] = error.reason
                continue
            images[row] = to_array(plain_view(image, self._size, self._interpolation))
        return torch.from_numpy(images), faults
