"""A column of Arrow files that are mapped into memory: a row is read when it is asked for, in whichever process.

Row by row `datasets` takes 16 to 22 µs of overhead, Arrow itself 3. Worker processes that are not forked get the paths
alone and map the files anew, without importing `datasets`.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrowColumn", "Part", "open_column"]


class Part(NamedTuple):
    """A split on disk."""

    name: str
    files: tuple[str, ...]  # Arrow streams, in order
    rows: int


def open_column(parts: Sequence[Part], column: str) -> Any:
    """Returns a column of parts that follow one another, a pyarrow.ChunkedArray of plain types.

    Raises:
        Exception: a file cannot be read.
    """
    import pyarrow as pa

    chunks, kind = [], None
    for file in (file for part in parts for file in part.files):
        values = pa.ipc.open_stream(pa.memory_map(file)).read_all().column(column)
        # datasets' own type of an array is known in processes that have imported it
        plain = [getattr(chunk, "storage", chunk) for chunk in values.chunks]
        chunks += plain
        kind = getattr(values.type, "storage_type", values.type)
    return pa.chunked_array(chunks, kind)


class ArrowColumn:
    """The images of a column.

    Args:
        parts: splits, one after the other.
        column: its name.
    """

    def __init__(self, parts: Sequence[Part], column: str) -> None:
        self.parts, self.column = tuple(parts), column
        self._ends = np.cumsum([part.rows for part in self.parts]).tolist()
        self._values: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": None}

    @property
    def values(self) -> Any:
        """The column, mapped into memory when it is first used."""
        if self._values is None:
            self._values = open_column(self.parts, self.column)
        return self._values

    def name(self, row: int) -> str:
        """Returns what messages call a row: `row 17 of train`."""
        part = bisect_right(self._ends, row)
        return f"row {row - (self._ends[part - 1] if part else 0)} of {self.parts[part].name}"

    def image(self, row: int, most: int | None = None) -> bytes | str | NDArray[Any]:
        """Returns the bytes of an encoded image, the path of a file, or an array (H, W) or (H, W, C).

        Args:
            row: its number.
            most: bytes that are read from the beginning of an encoded image; None: all.

        Raises:
            ValueError: it is none of these.
        """
        import pyarrow as pa

        value = self.values[row]
        if not value.is_valid:
            raise ValueError("it holds no image")
        if isinstance(value, pa.StructScalar):
            if value["bytes"].is_valid:
                value = value["bytes"]
            elif (path := value["path"].as_py()) is None:
                raise ValueError("it holds no image")
            elif "://" in path:
                raise ValueError(f"its image is at '{path}', and only files on disk are read")
            else:
                return str(path)
        if isinstance(value, (pa.BinaryScalar, pa.LargeBinaryScalar)):
            buffer = value.as_buffer()
            encoded: bytes = (
                buffer if most is None else buffer.slice(0, min(most, buffer.size))
            ).to_pybytes()
            return encoded
        return _array(value)

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the bytes of each encoded image, (n,) int64; zeros for others."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.values
        if pa.types.is_struct(values.type):
            values = pc.struct_field(values, "bytes")
        if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
            return np.zeros(len(rows), np.int64)
        sizes: NDArray[np.int64] = (
            pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
        )  # (N,)
        return sizes[rows]


def _array(value: Any) -> NDArray[Any]:
    """Returns the values of nested lists, which are of one length at each depth."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, counts = value.values, []
    while isinstance(values, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):
        counts.append(len(values))
        if len(pc.unique(pc.list_value_length(values))) > 1:
            raise ValueError("it is an array whose rows are of different lengths")
        values = values.flatten()
    counts.append(len(values))
    if 0 in counts or values.null_count:
        raise ValueError("it holds no image")
    sides = [counts[0], *(inner // outer for outer, inner in itertools.pairwise(counts))]
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(sides)
    return array
