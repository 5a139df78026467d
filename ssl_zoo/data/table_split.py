"""Images in the rows of a table, which worker processes read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from ssl_zoo.data.arrow_table import ArrowColumn
from ssl_zoo.data.bands import Bands
from ssl_zoo.data.decode import Unreadable, check_image, read_image
from ssl_zoo.data.headers import is_surely_readable
from ssl_zoo.data.item import image_of_item
from ssl_zoo.data.photo import Photo, photo_of, read_photo
from ssl_zoo.data.raster import Encoded
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.reader_split import ReaderSplit

__all__ = ["TableReader", "TableSplit"]

HEAD = 4096  # bytes in which the header of most JPEGs is
FIX = "mend or remove the row, or set data.on_error=skip to leave unreadable images out"


class TableReader(ImageReader):
    """Images of a column, in rows (N,)."""

    def __init__(self, column: ArrowColumn, rows: Tensor, channels: int, bit_depth: int) -> None:
        self.column, self.rows = column, rows
        self.channels, self.bit_depth = channels, bit_depth

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, position: int) -> str:
        return self.column.name(int(self.rows[position]))

    def read(self, position: int) -> Image | Bands:
        try:
            image = self._image(position)
            if isinstance(image, np.ndarray):
                return image_of_item(image, self.channels, self.bit_depth)
            return read_image(image, self.channels, self.bit_depth)
        except Exception as error:
            raise self._unreadable(position, error) from error

    def photo(self, position: int) -> Photo:
        try:
            image = self._image(position)
            if isinstance(image, np.ndarray):
                return photo_of(image_of_item(image, self.channels, self.bit_depth))
            return read_photo(image, self.channels, self.bit_depth)
        except Exception as error:
            raise self._unreadable(position, error) from error

    def check(self, position: int, *, whole: bool) -> None:
        try:
            is_photo = self.bit_depth == 8 and self.channels in (1, 3)
            if is_photo and not whole:
                begun = self._image(position, HEAD)
                if not isinstance(begun, np.ndarray) and is_surely_readable(begun):
                    return
            image = self._image(position)
            if isinstance(image, np.ndarray):
                image_of_item(image, self.channels, self.bit_depth)
            else:
                check_image(image, whole=whole, channels=self.channels, bit_depth=self.bit_depth)
        except Exception as error:
            raise self._unreadable(position, error) from error

    def _image(self, position: int, most: int | None = None) -> Encoded | str | np.ndarray:
        image = self.column.image(int(self.rows[position]), most)
        return Encoded(self.name(position), image) if isinstance(image, bytes) else image

    def _unreadable(self, position: int, error: Exception) -> Unreadable:
        reason = ValueError(error.reason) if isinstance(error, Unreadable) else error
        return Unreadable(self.name(position), reason, FIX)


class TableSplit(ReaderSplit):
    """Images of a table; `unreadable` as in `ReaderSplit`."""

    names = None
    reader: TableReader

    def select(self, indices: Tensor | Sequence[int]) -> TableSplit:
        index, reader = torch.as_tensor(indices, dtype=torch.int64), self.reader
        chosen = TableReader(reader.column, reader.rows[index], reader.channels, reader.bit_depth)
        labels = None if self.labels is None else self.labels[index]
        return TableSplit(chosen, labels, self.workers, self.unreadable).resized(self.interpolation)
