"""Images of any size, as files that worker processes decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data.crop import crop_and_resize
from ssl_zoo.data.decode import Unreadable, read_image, to_array
from ssl_zoo.data.rng import stream
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.train_loader import Batch, TrainLoader
from ssl_zoo.data.workers import FileWork, run_tasks

__all__ = ["FileSplit"]

_TRIES = 100  # files in a row that are tried for one image before a folder is taken to be gone


class FileSplit(Split):
    """Images as files; a file that turns out to be unreadable raises a UserError that names it.

    Where files are skipped the loader takes the next readable image in its place; see also `SkippingSplit`.

    Args:
        root: the folder.
        names: N paths relative to it, with forward slashes.
        labels: (N,) int64, or None.
        channels: 1 or 3.
        workers: processes that decode; 0 decodes in this one.
        unreadable: paths of the files skipped since the folder was read, with the reasons; selections share it. None
            where an unreadable file is an error.
    """

    names: tuple[str, ...]

    def __init__(
        self,
        root: Path,
        names: tuple[str, ...],
        labels: Tensor | None,
        channels: int,
        workers: int,
        unreadable: dict[str, str] | None = None,
    ) -> None:
        self.root, self.names, self.labels = root, names, labels
        self.channels, self.workers, self.unreadable = channels, workers, unreadable

    def __len__(self) -> int:
        return len(self.names)

    def select(self, indices: Tensor | Sequence[int]) -> FileSplit:
        index = torch.as_tensor(indices, dtype=torch.int64)
        names = tuple(self.names[i] for i in index.tolist())
        labels = None if self.labels is None else self.labels[index]
        return FileSplit(self.root, names, labels, self.channels, self.workers, self.unreadable)

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        work = _PlainWork(self.root, self.names, self.channels, size)
        batches = torch.split(torch.arange(len(self)), batch_size)
        return run_tasks(work, batches, self.workers, pin=True)

    def train_loader(
        self, batch_size: int, views: Sequence[ViewConfig], seed: int, part: tuple[int, int] = (0, 1)
    ) -> TrainLoader:
        return _FileLoader(self, batch_size, views, seed, part)


class _PlainWork(FileWork[Tensor, Tensor]):
    """Positions (n,) -> the evaluation view, uint8 (n, C, size, size)."""

    def __init__(self, root: Path, names: Sequence[str], channels: int, size: int) -> None:
        super().__init__(root, names)
        self._channels, self._size = channels, size

    def do(self, task: Tensor) -> Tensor:
        images = (read_image(self.path(i), self._channels) for i in task.tolist())
        return torch.from_numpy(np.stack([to_array(plain_view(image, self._size)) for image in images]))


class _CropWork(FileWork[tuple[int, Tensor], "tuple[Batch, dict[str, str]]"]):
    """(epoch, positions (n,)) -> one uint8 (n, C, size, size) per view, each decoded once; skipped files and why."""

    def __init__(self, split: FileSplit, views: Sequence[ViewConfig], seed: int) -> None:
        super().__init__(split.root, split.names)
        self._channels, self._skips = split.channels, split.unreadable is not None
        self._count, self._views, self._seed = len(split), tuple(views), seed

    def do(self, task: tuple[int, Tensor]) -> tuple[Batch, dict[str, str]]:
        epoch, index = task
        unreadable: dict[str, str] = {}
        images = [self._read(i, unreadable) for i in index.tolist()]
        crops = [self._crops(image, epoch, i) for (image, _), i in zip(images, index.tolist(), strict=True)]
        positions = torch.tensor([position for _, position in images])  # (n,)
        return Batch(
            tuple(torch.from_numpy(np.stack(view)) for view in zip(*crops, strict=True)), positions
        ), unreadable

    def _read(self, position: int, unreadable: dict[str, str]) -> tuple[Image, int]:
        """Returns an image and its position: the one asked for or, where files are skipped, the next readable one."""
        tries = min(self._count, _TRIES) if self._skips else 1
        for candidate in (number % self._count for number in range(position, position + tries)):
            try:
                return read_image(self.path(candidate), self._channels), candidate
            except Unreadable as error:
                unreadable[error.path], last = error.reason, error
        raise last

    def _crops(self, image: Image, epoch: int, position: int) -> list[NDArray[np.uint8]]:
        crops = []
        for number, view in enumerate(self._views):
            random = stream(self._seed, "crop", epoch, position, number)
            crops.append(to_array(crop_and_resize(image, view.size, view.crop, random)))
        return crops


class _FileLoader(TrainLoader):
    def __init__(
        self,
        split: FileSplit,
        batch_size: int,
        views: Sequence[ViewConfig],
        seed: int,
        part: tuple[int, int],
    ) -> None:
        super().__init__(len(split), batch_size, seed, part)
        self._work, self._unreadable = _CropWork(split, views, seed), split.unreadable
        self._workers = split.workers

    def _fetch(self, epoch: int, batches: tuple[Tensor, ...]) -> Iterator[Batch]:
        tasks = [(epoch, index) for index in batches]
        for batch, unreadable in run_tasks(self._work, tasks, self._workers, pin=True):
            if self._unreadable is not None:
                self._unreadable.update(unreadable)
            yield batch
