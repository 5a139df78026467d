"""The order in which images are trained on, and where in it a resumed run goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.data.order import Groups, epoch_order, in_batches
from ssl_zoo.errors import UserError

__all__ = ["Batch", "TrainLoader", "move_images"]


class Batch(NamedTuple):
    """Images to train on."""

    images: (
        Tensor | tuple[Tensor, ...]
    )  # uint8 or uint16 (n, C, H, W); from files one (n, C, size, size) per view
    index: Tensor  # type: ignore[assignment]  # (n,) int64 positions in the split; hides tuple.index


def move_images(images: Tensor | tuple[Tensor, ...], device: torch.device) -> Tensor | tuple[Tensor, ...]:
    """Returns the images of a batch on a device."""
    if isinstance(images, Tensor):
        return images.to(device, non_blocking=True)
    return tuple(view.to(device, non_blocking=True) for view in images)


class TrainLoader(ABC):
    """Batches of a split, endlessly many epochs of them; an incomplete last batch is dropped.

    The order is a pure function of (seed, epoch), see `epoch_order`. Each `iter()` is one epoch, the next one unless
    `set_position` sets another. `state_dict` holds the position of the next batch; Lightning saves and
    loads it with its checkpoints, and a resumed run sees exactly the batches that it would have seen.

    Attributes:
        device: where the batches are trained on, the CPU if not set. A GPU gets all images that are in memory before
            the first batch, if they take at most a quarter of what is free on it; then no batch is copied there.

        resizing: number of the way in which images that are read when they are needed are resized, see `reader_split`;
            a resumed run keeps its own. None where images are in memory.

    Args:
        count: number of images.
        batch_size: images per batch, over all processes.
        seed: at least 0.
        part: (rank, world_size): the rank-th of `world_size` equal, consecutive parts of each batch.
        groups: the files of many images each that the images are in, or None.

    Raises:
        UserError: the batch size exceeds the number of images.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        part: tuple[int, int] = (0, 1),
        groups: Groups | None = None,
    ) -> None:
        assert batch_size % part[1] == 0
        if batch_size > count:
            raise UserError(
                f"batch_size must be at most the number of training images; received {batch_size} for {count}; "
                f"set batch_size={count} or less"
            )
        self._count, self._batch_size, self._seed, self._part = count, batch_size, seed, part
        self._groups = groups
        self.device = torch.device("cpu")
        self.resizing: int | None = None
        self._start = (0, 0)  # where the next iter() starts: epoch, batch
        self._reached = (0, 0)  # the next batch to be yielded

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch, wherever the next one starts."""
        return self._count // self._batch_size

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """Sets which epoch the next `iter()` is and at which batch it starts."""
        assert epoch >= 0
        assert 0 <= batch <= len(self)
        self._start = self._reached = (epoch, batch)

    def state_dict(self) -> dict[str, int]:
        """Returns the position of the next batch."""
        epoch, batch = self._reached
        return {"epoch": epoch, "batch": batch} if batch < len(self) else {"epoch": epoch + 1, "batch": 0}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to a position that `state_dict` returned."""
        self.set_position(**state)

    def __iter__(self) -> Iterator[Batch]:
        epoch, start = self._start
        self._start = (epoch + 1, 0)
        order = epoch_order(self._count, self._seed, epoch, self._groups, start * self._batch_size)
        rank, world_size = self._part
        batches = (batch.chunk(world_size)[rank] for batch in in_batches(order, self._batch_size))
        return self._counted(epoch, start, batches)

    def _counted(self, epoch: int, start: int, batches: Iterable[Tensor]) -> Iterator[Batch]:
        for number, batch in enumerate(self._fetch(epoch, batches), start + 1):
            self._reached = (epoch, number)
            yield batch

    @abstractmethod
    def _fetch(self, epoch: int, batches: Iterable[Tensor]) -> Iterator[Batch]:
        """Yields the images of each (n,) tensor of positions, in order."""
