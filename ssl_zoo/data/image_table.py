"""The images and labels that a block `data` names with source=huggingface, and a sample of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.arrow_table import ArrowColumn
from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.decode import FORMATS, Unreadable, quiet, to_array
from ssl_zoo.data.folder_sample import Sides, pixels_among, sides_among
from ssl_zoo.data.hub import Rows, open_set, rows_of, stamp_of
from ssl_zoo.data.image_sample import ImageSample
from ssl_zoo.data.item import header_of_item
from ssl_zoo.data.pixel_statistics import Statistics, measure_pixels
from ssl_zoo.data.raster import Encoded, Header, header_of
from ssl_zoo.data.table_columns import TableLabels, image_column, label_column, labels_of
from ssl_zoo.data.table_split import TableReader

__all__ = ["ImageTable", "TableSample", "sample_table", "spaced", "tables_of"]

SOURCE = "huggingface"
NAMED_BY = ("path", "config_name", "revision", "train", "test", "image_column", "label_column")
LOOKED_AT = 256  # headers
DECODED = 64  # images whose pixels are averaged, and whose bytes are in the digest


class ImageTable(NamedTuple):
    """Rows with an image each."""

    rows: Rows
    images: ArrowColumn
    label_column: str | None

    def __len__(self) -> int:
        return len(self.rows.positions)

    @property
    def labels(self) -> TableLabels | None:
        """Their labels; see `labels_of`."""
        return labels_of(self.rows, self.label_column)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The bytes of each encoded image, (N,); zeros for others."""
        return self.images.lengths(self.rows.positions)

    def content(self, position: int) -> bytes:
        """Returns the bytes of an image, empty where it holds none."""
        try:
            image = self.images.image(int(self.rows.positions[position]))
            if isinstance(image, str):
                return Path(image).read_bytes()
        except (ValueError, OSError):
            return b""
        return (
            image if isinstance(image, bytes) else f"{image.dtype} {image.shape}".encode() + image.tobytes()
        )


def tables_of(data: Mapping[str, Any]) -> tuple[ImageTable, ImageTable | None]:
    """Returns the training images and the test images that a block `data` names, None where it names none.

    Raises:
        UserError: the data set, a split or a column is not there.
    """
    opened = open_set(data["path"], data.get("config_name"), data.get("revision"))

    def table(key: str) -> ImageTable:
        rows = rows_of(opened, f"data.{key}", data[key])
        column = ArrowColumn(rows.parts, image_column(rows, data.get("image_column")))
        return ImageTable(rows, column, label_column(rows, data.get("label_column")))

    return table("train"), table("test") if data.get("test") is not None else None


class TableSample(ImageSample):
    """Some of the rows, evenly spaced."""

    def __init__(self, train: ImageTable, test: ImageTable | None) -> None:
        self.train, self.test = train, test

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        known = {"length": len(self.train), "digest": self.digest}
        on_hub = stamp_of(data["path"]) is None
        unnamed = data.get("name") == SOURCE and on_hub
        return {"name": data["path"].replace("/", "--"), **known} if unnamed else known

    @cached_property
    def sides(self) -> Sides | None:
        return sides_among([(header.width, header.height) for header in self._headers])

    @cached_property
    def pixels(self) -> Pixels | None:
        return pixels_among([header.pixels for header in self._headers])

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits of all labels and sizes in bytes, and of some images.

        Equal wherever the data set lies and whichever version of `datasets` has opened it.
        """
        sha = hashlib.sha256()
        for table in filter(None, (self.train, self.test)):
            labels = table.labels
            sha.update(f"{len(table)} {None if labels is None else labels.names}\n".encode())
            sha.update(b"" if labels is None else labels.numbers.astype("<i8").tobytes())
            sha.update(table.lengths.astype("<i8").tobytes())
            for position in spaced(len(table), DECODED):
                sha.update(hashlib.sha256(table.content(position)).digest())
        return sha.hexdigest()[:12]

    def statistics(self, channels: int, bit_depth: int) -> Statistics | None:
        def images() -> Iterator[NDArray[Any]]:
            rows = self.train.rows.positions
            for position in spaced(len(self.train), DECODED):
                with suppress(Unreadable):
                    yield to_array(TableReader(self.train.images, rows, channels, bit_depth).read(position))

        with quiet():
            return measure_pixels(images())

    @cached_property
    def _headers(self) -> tuple[Header, ...]:
        headers = []
        with quiet():
            for position in spaced(len(self.train), LOOKED_AT):
                try:
                    image = self.train.images.image(int(self.train.rows.positions[position]))
                    if isinstance(image, np.ndarray):
                        size, pixels = header_of_item(image)
                        headers.append(Header(*size, pixels))
                    else:
                        file = Encoded("", image) if isinstance(image, bytes) else image
                        headers.append(header_of(file, FORMATS))
                except Exception:  # what is unreadable is named when the data is loaded
                    continue
        return tuple(headers)


def sample_table(data: Mapping[str, Any]) -> ImageSample | None:
    """Returns the sample of a block `data`; None where it names no data set.

    Raises:
        UserError: as in `tables_of`.
    """
    if not all(isinstance(data.get(key), str) and data[key] for key in ("path", "train")):
        return None
    named = tuple(data.get(key) for key in NAMED_BY)
    if not all(value is None or isinstance(value, str) for value in named):  # refused when it is validated
        return None
    return _sample(named, stamp_of(data["path"]))


@lru_cache(maxsize=8)
def _sample(named: tuple[str | None, ...], stamp: object) -> TableSample:
    return TableSample(*tables_of(dict(zip(NAMED_BY, named, strict=True))))


def spaced(count: int, most: int) -> range:
    """Returns up to `most` evenly spaced positions among `count`."""
    return range(0, count, math.ceil(count / most))
