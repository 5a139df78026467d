"""Names of many files in two arrays.

A million `str` take 100 MB, and a worker process that reads one copies its page by touching the reference count. Here
they are the bytes of the file system, decoded when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

__all__ = ["Names"]

_BLOCK = 4096  # names that are decoded at a time
_END = b"\0"  # of a name: the one byte that no file's name holds


class Names(Sequence[str]):
    """Sequence of file names that is equal to a tuple of them.

    Args:
        text: the encoded names, a zero byte after each, uint8 (B,).
        starts: where each begins in the text, and the text's length, int64 (M + 1,).
        rows: which of the M names these are, and in what order, int64 (N,); None: all.
    """

    def __init__(
        self, text: NDArray[np.uint8], starts: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> None:
        self._text, self._starts, self._rows = text, starts, rows

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Returns these names; `Names` are returned as they are."""
        if isinstance(names, Names):
            return names
        return cls.of_bytes(b"".join(os.fsencode(name) + _END for name in names))

    @classmethod
    def of_bytes(cls, text: bytes | bytearray) -> Self:
        """Returns the names in a text that has a zero byte after each."""
        array = np.frombuffer(text, np.uint8)
        ends = np.flatnonzero(array == 0) + 1
        return cls(array, np.concatenate([np.zeros(1, np.int64), ends]))

    @property
    def text(self) -> NDArray[np.uint8]:
        """The encoded names, a zero byte after each, uint8."""
        return self._text if self._rows is None else np.frombuffer(b"".join(self._texts()), np.uint8)

    def below(self, folder: str) -> bytes:
        """Returns the paths that join a folder and each name, encoded, a zero byte after each."""
        prefix = os.fsencode(os.path.join(folder, ""))
        text = self.text.tobytes()
        return (prefix + text.replace(_END, _END + prefix))[: -len(prefix)] if text else b""

    def take(self, rows: NDArray[np.int64]) -> Names:
        """Returns the names at these positions, int64 (n,), in this order; the text is shared."""
        chosen = np.arange(len(self), dtype=np.int64) if self._rows is None else self._rows
        return Names(self._text, self._starts, chosen[rows])

    def __len__(self) -> int:
        return len(self._starts) - 1 if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Names: ...
    def __getitem__(self, position: int | slice) -> str | Names:
        count = len(self)
        if isinstance(position, slice):
            return self.take(np.arange(count, dtype=np.int64)[position])
        if not -count <= position < count:
            raise IndexError(f"there are {count} names; received position {position}")
        row = position % count if self._rows is None else int(self._rows[position])
        return os.fsdecode(self._text[self._starts[row] : self._starts[row + 1] - 1].tobytes())

    def __iter__(self) -> Iterator[str]:
        for text in self._texts():
            yield from os.fsdecode(text)[:-1].split("\0")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Names, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"<{len(self)} names: {shown}{', ...' if len(self) > 3 else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the names, and of a selection not all those that it was taken from."""
        if self._rows is None or 2 * len(self) > len(self._starts):
            return Names, (self._text, self._starts, self._rows)
        return Names.of_bytes, (self.text.tobytes(),)

    def _texts(self) -> Iterator[bytes]:
        """Yields the text of so many names at a time."""
        if self._rows is None:
            for first in range(0, len(self), _BLOCK):
                last = min(first + _BLOCK, len(self))
                yield self._text[self._starts[first] : self._starts[last]].tobytes()
            return
        for first in range(0, len(self), _BLOCK):
            rows = self._rows[first : first + _BLOCK]
            bounds = zip(self._starts[rows].tolist(), self._starts[rows + 1].tolist(), strict=True)
            yield b"".join(self._text[start:end].tobytes() for start, end in bounds)
