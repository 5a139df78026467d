"""Image files of which some turn out to be unreadable only when they are decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.data.decode import Unreadable, read_image, to_array
from ssl_zoo.data.file_split import FileSplit
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.workers import FileWork, run_tasks

__all__ = ["SkippingSplit", "skipping"]

Faults = dict[int, str]  # position -> why it is unreadable


class SkippingSplit(FileSplit):
    """A split whose unreadable images are black instead of an error, so that batches keep their composition.

    They are listed in `faults`.
    """

    def __init__(self, split: FileSplit) -> None:
        super().__init__(
            split.root, split.names, split.labels, split.channels, split.workers, split.unreadable
        )
        self.faults: Faults = {}

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        work = _SkippingWork(self.root, self.names, self.channels, size)
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


class _SkippingWork(FileWork[Tensor, "tuple[Tensor, Faults]"]):
    """Positions (n,) -> the evaluation view, uint8 (n, C, size, size), zero where unreadable, and the reasons."""

    def __init__(self, root: Path, names: Sequence[str], channels: int, size: int) -> None:
        super().__init__(root, names)
        self._channels, self._size = channels, size

    def do(self, task: Tensor) -> tuple[Tensor, Faults]:
        images = np.zeros((len(task), self._channels, self._size, self._size), np.uint8)
        faults: Faults = {}
        for row, position in enumerate(task.tolist()):
            try:
                image = read_image(self.path(position), self._channels)
            except Unreadable as error:
                faults[row] = error.reason
                continue
            images[row] = to_array(plain_view(image, self._size))
        return torch.from_numpy(images), faults
