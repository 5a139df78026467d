"""Images in shards, read by worker processes."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from ssl_zoo.data.bands import Bands
from ssl_zoo.data.decode import Unreadable, check_image, read_image
from ssl_zoo.data.order import Groups
from ssl_zoo.data.photo import Photo, read_photo
from ssl_zoo.data.raster import Encoded
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.reader_split import ReaderSplit
from ssl_zoo.data.shards.index import ShardIndex
from ssl_zoo.data.shards.patterns import Shard
from ssl_zoo.data.shards.remote import UnreachableShard
from ssl_zoo.data.shards.spool import Spool
from ssl_zoo.data.shards.tar import DamagedShard
from ssl_zoo.errors import UserError, describe_os_error

__all__ = ["ShardReader", "ShardSplit"]

_OPEN = 64  # shards that a process keeps open
RULE = "every shard must be there, and the same, as long as it is read"
FIX = "mend the shard, or set data.on_error=skip to leave unreadable images out"


class ShardReader(ImageReader):
    """Images in shards.

    Args:
        index: where each is.
        shards: the shards.
        spool: their copies.
        positions: (n,) of the images in the index; None: all.
        channels: as which they are read.
        bit_depth: likewise.
        together: shards that are read at a time.
    """

    def __init__(
        self,
        index: ShardIndex,
        shards: Sequence[Shard],
        spool: Spool,
        positions: NDArray[np.int64] | None,
        channels: int,
        bit_depth: int,
        together: int,
    ) -> None:
        self.index, self.shards, self.spool, self.positions = index, shards, spool, positions
        self.channels, self.bit_depth, self.together = channels, bit_depth, together
        self._open: OrderedDict[int, int] = (
            OrderedDict()
        )  # shard -> file descriptor, used least recently first

    def __len__(self) -> int:
        return len(self.index) if self.positions is None else len(self.positions)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}

    def __del__(self) -> None:
        for descriptor in self.__dict__.get("_open", {}).values():
            os.close(descriptor)

    def take(self, indices: Tensor) -> ShardReader:
        """Returns the images at these positions."""
        chosen = indices.numpy() if self.positions is None else self.positions[indices.numpy()]
        return ShardReader(
            self.index, self.shards, self.spool, chosen, self.channels, self.bit_depth, self.together
        )

    def name(self, position: int) -> str:
        number = self._number(position)
        return f"{self.shards[self.index.shard_of(number)].url}/{self.index.names[number]}"

    def encoded(self, position: int) -> Encoded:
        """Returns an image as it is in its shard.

        Raises:
            Unreadable: its bytes cannot be read.
            UserError: the shard is gone, cannot be fetched, or is another than was indexed; its images are none to be
                skipped, for they may be there the next time.
        """
        number = self._number(position)
        shard = self.index.shard_of(number)
        size, offset = int(self.index.sizes[number]), int(self.index.offsets[number])
        try:
            descriptor = self._descriptor(shard)
        except OSError as error:
            raise UserError(f"{RULE}: {describe_os_error(error)}") from error
        except (UnreachableShard, DamagedShard) as error:
            raise self._changed(shard, str(error)) from error
        try:
            data = _read_at(descriptor, size, offset)
        except OSError as error:
            raise Unreadable(self.name(position), error, FIX) from error
        if len(data) < size:
            raise self._changed(shard, "the shard has been cut off since it was opened")
        return Encoded(self.index.names[number], data)

    def read(self, position: int) -> Image | Bands:
        try:
            return read_image(self.encoded(position), self.channels, self.bit_depth)
        except Unreadable as error:
            raise self._named(error, position) from error

    def photo(self, position: int) -> Photo:
        try:
            return read_photo(self.encoded(position), self.channels, self.bit_depth)
        except Unreadable as error:
            raise self._named(error, position) from error

    def check(self, position: int, *, whole: bool) -> None:
        try:
            check_image(self.encoded(position), whole=whole, channels=self.channels, bit_depth=self.bit_depth)
        except Unreadable as error:
            raise self._named(error, position) from error

    def prepared(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        return self.spool.ahead(batches, self._shards_of, 2 * self.together)

    def _changed(self, shard: int, reason: str) -> UserError:
        return UserError(
            f"{RULE}; '{self.shards[shard].url}' is not: {reason}; check the address and the network, put the shard "
            "back, or start anew"
        )

    def _named(self, error: Unreadable, position: int) -> Unreadable:
        error.path, error.fix = self.name(position), FIX
        return error

    def _number(self, position: int) -> int:
        return position if self.positions is None else int(self.positions[position])

    def _shards_of(self, batch: Tensor) -> list[int]:
        """Returns the shards of a batch in the order in which they are asked for."""
        numbers = batch.numpy() if self.positions is None else self.positions[batch.numpy()]
        shards = np.searchsorted(self.index.ends, numbers, "right")
        return list(dict.fromkeys(shards.tolist()))

    def _descriptor(self, shard: int) -> int:
        if shard in self._open:
            self._open.move_to_end(shard)
            return self._open[shard]
        self._close_removed()
        try:
            descriptor = _opened(self.spool.path(shard))
        except FileNotFoundError:  # a copy that has just made room for another process's
            descriptor = _opened(self.spool.path(shard))
        length = os.fstat(descriptor).st_size
        if length != self.index.lengths[shard]:
            os.close(descriptor)
            raise DamagedShard(
                f"the shard has {length} bytes, and had {self.index.lengths[shard]} when it was indexed"
            )
        if len(self._open) == _OPEN:
            os.close(self._open.popitem(last=False)[1])
        self._open[shard] = descriptor
        return descriptor

    def _close_removed(self) -> None:
        """Closes copies that have made room for others: their space is free only then."""
        for shard, descriptor in list(self._open.items()):
            if self.spool.is_copied(shard) and os.fstat(descriptor).st_nlink == 0:
                os.close(self._open.pop(shard))


def _opened(path: str) -> int:
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows; its workers are not forked, and share no position
    return os.read(descriptor, size)


class ShardSplit(ReaderSplit):
    """Images in shards; one that turns out to be unreadable raises a UserError, or is skipped; see `ReaderSplit`."""

    reader: ShardReader

    def __init__(
        self,
        reader: ShardReader,
        labels: Tensor | None,
        workers: int,
        unreadable: dict[str, str] | None,
        groups: Groups | None,
    ) -> None:
        super().__init__(reader, labels, workers, unreadable, groups)
        names = reader.index.names
        self.names = names if reader.positions is None else names.take(reader.positions)

    def select(self, indices: Tensor | Sequence[int]) -> ShardSplit:
        index = torch.as_tensor(indices, dtype=torch.int64)
        labels = None if self.labels is None else self.labels[index]
        groups = None if self.groups is None else self.groups.select(index)
        chosen = ShardSplit(self.reader.take(index), labels, self.workers, self.unreadable, groups)
        return chosen.resized(self.interpolation)
