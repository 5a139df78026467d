"""Images of any size, as files that worker processes decode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssl_zoo.data.names import Names
from ssl_zoo.data.reader import FileReader
from ssl_zoo.data.reader_split import ReaderSplit

__all__ = ["FileSplit"]


class FileSplit(ReaderSplit):
    """Images as files; a file that turns out to be unreadable raises a UserError that names it.

    Where files are skipped the loader takes the next readable image in its place; see also `SkippingSplit`.

    Args:
        root: the folder.
        names: N paths relative to it, with forward slashes.
        labels: (N,) int64, or None.
        channels: as which they are read.
        workers: processes that decode; 0 decodes in this one.
        unreadable: paths of the files skipped since the folder was read, with the reasons; selections share it. None
            where an unreadable file is an error.
        bit_depth: 8 or 16.
    """

    names: Names
    reader: FileReader

    def __init__(
        self,
        root: Path,
        names: Iterable[str],
        labels: Tensor | None,
        channels: int,
        workers: int,
        unreadable: dict[str, str] | None = None,
        bit_depth: int = 8,
    ) -> None:
        self.root, self.names, self.bit_depth = root, Names.of(names), bit_depth
        super().__init__(FileReader(root, self.names, channels, bit_depth), labels, workers, unreadable)

    def select(self, indices: Tensor | Sequence[int]) -> FileSplit:
        index = torch.as_tensor(indices, dtype=torch.int64)
        names = self.names.take(index.numpy())
        labels = None if self.labels is None else self.labels[index]
        chosen = FileSplit(
            self.root, names, labels, self.channels, self.workers, self.unreadable, self.bit_depth
        )
        return chosen.resized(self.interpolation)
