"""Images of any size that worker processes read and crop when they are needed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data.decode import Unreadable, to_array
from ssl_zoo.data.order import Groups
from ssl_zoo.data.photo import TYPES, Photo, crop_by_pillow, crop_photo
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.rng import stream
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.train_loader import Batch, TrainLoader
from ssl_zoo.data.workers import Work, run_tasks

__all__ = ["ReaderSplit"]

RESIZINGS = {1: crop_by_pillow, 2: crop_photo}  # by the number in a checkpoint; the last is that of new runs
_TOGETHER = (
    16  # images that are decoded, then cropped: by turns, a processor's caches forget the code of either
)
_TRIES = 100  # images in a row that are tried for one before a folder is taken to be gone


class ReaderSplit(Split):
    """Images that are read by a reader; one that turns out to be unreadable raises a UserError that names it.

    Where images are skipped the loader takes the next readable one in its place.

    Args:
        reader: reads N images.
        labels: (N,) int64, or None.
        workers: processes that read; 0 reads in this one.
        unreadable: names of the images skipped since the beginning, with the reasons; selections share it. None where
            an unreadable image is an error.
        groups: files of many images each that the images are in; None where each has its own.
    """

    def __init__(
        self,
        reader: ImageReader,
        labels: Tensor | None,
        workers: int,
        unreadable: dict[str, str] | None,
        groups: Groups | None = None,
    ) -> None:
        self.reader, self.labels, self.workers, self.unreadable = reader, labels, workers, unreadable
        self.groups = groups
        self.channels = reader.channels

    def __len__(self) -> int:
        return len(self.reader)

    @abstractmethod
    def select(self, indices: Tensor | Sequence[int]) -> ReaderSplit:
        """Returns the images at these positions, in this order."""

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        batches = self.reader.prepared(torch.split(torch.arange(len(self)), batch_size))
        return run_tasks(_PlainWork(self.reader, size, self.interpolation), batches, self.workers, pin=True)

    def train_loader(
        self, batch_size: int, views: Sequence[ViewConfig], seed: int, part: tuple[int, int] = (0, 1)
    ) -> TrainLoader:
        return _ReaderLoader(self, batch_size, views, seed, part)


class _PlainWork(Work[Tensor, Tensor]):
    """Positions (n,) -> the evaluation view, (n, C, size, size)."""

    def __init__(self, reader: ImageReader, size: int, interpolation: str) -> None:
        self._reader, self._size, self._interpolation = reader, size, interpolation

    def do(self, task: Tensor) -> Tensor:
        views = self.memory.images(
            len(task), self._reader.channels, self._size, TYPES[self._reader.bit_depth]
        )
        for row, position in enumerate(task.tolist()):
            view = plain_view(self._reader.read(position), self._size, self._interpolation)
            views[row] = torch.from_numpy(to_array(view).copy())
        return views


class _CropWork(Work[tuple[int, Tensor], "tuple[Batch, dict[str, str]]"]):
    """(epoch, positions (n,)) -> one (n, C, size, size) per view, each read once; skipped images and why."""

    def __init__(self, split: ReaderSplit, views: Sequence[ViewConfig], seed: int) -> None:
        self._reader, self._skips = split.reader, split.unreadable is not None
        self._count, self._views, self._seed = len(split), tuple(views), seed
        self.resizing = max(RESIZINGS)

    def do(self, task: tuple[int, Tensor]) -> tuple[Batch, dict[str, str]]:
        epoch, index = task
        reader, crop, unreadable = self._reader, RESIZINGS[self.resizing], dict[str, str]()
        dtype, positions = TYPES[reader.bit_depth], torch.empty_like(index)  # (n,)
        batch = [self.memory.images(len(index), reader.channels, view.size, dtype) for view in self._views]
        for rows in torch.split(torch.arange(len(index)), _TOGETHER):
            photos = []
            for row in rows.tolist():
                photo, positions[row] = self._read(int(index[row]), unreadable)
                photos.append(photo)
            for row, photo in zip(rows.tolist(), photos, strict=True):
                for number, (view, images) in enumerate(zip(self._views, batch, strict=True)):
                    random = stream(self._seed, "crop", epoch, int(index[row]), number)
                    images[row] = crop(photo, view.size, view.crop, random)
        return Batch(tuple(batch), positions), unreadable

    def _read(self, position: int, unreadable: dict[str, str]) -> tuple[Photo, int]:
        """Returns an image and its position: the one asked for or, where some are skipped, the next readable one."""
        tries = min(self._count, _TRIES) if self._skips else 1
        for candidate in (number % self._count for number in range(position, position + tries)):
            try:
                return self._reader.photo(candidate), candidate
            except Unreadable as error:
                unreadable[error.path], last = error.reason, error
        raise last


class _ReaderLoader(TrainLoader):
    def __init__(
        self,
        split: ReaderSplit,
        batch_size: int,
        views: Sequence[ViewConfig],
        seed: int,
        part: tuple[int, int],
    ) -> None:
        super().__init__(len(split), batch_size, seed, part, split.groups)
        self._work, self._unreadable = _CropWork(split, views, seed), split.unreadable
        self._reader, self._workers = split.reader, split.workers
        self.resizing = max(RESIZINGS)

    def _fetch(self, epoch: int, batches: Iterable[Tensor]) -> Iterator[Batch]:
        assert self.resizing is not None
        self._work.resizing = self.resizing
        tasks = ((epoch, index) for index in self._reader.prepared(batches))
        for batch, unreadable in run_tasks(self._work, tasks, self._workers, pin=True):
            if self._unreadable is not None:
                self._unreadable.update(unreadable)
            yield batch
