"""The images of all shards: where each begins, in arrays on disk that are mapped into memory.

Made once, by one process of a machine, and kept while the shards have the same names, sizes and times of change. Pages
of the arrays are shared by all processes; of an image there are about 24 bytes and its name.

    index.json    shards, labels, what could not be read
    offsets, sizes, labels, name_starts, names    raw numbers, see `ARRAYS`
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.names import Names
from ssl_zoo.data.shards.patterns import Shards
from ssl_zoo.data.shards.table import ShardTable
from ssl_zoo.files.json_files import load_json, write_json
from ssl_zoo.files.whole_folder import atomic_folder

__all__ = ["ShardIndex", "write_index"]

VERSION = 2  # of these files
ARRAYS: dict[str, Any] = {
    "offsets": np.int64,
    "sizes": np.uint32,
    "labels": np.int64,
    "name_starts": np.int64,
    "names": np.uint8,
}
_CHUNK = 2**20  # labels


class ShardIndex:
    """The arrays of an index, read-only and shared.

    Attributes:
        offsets: (N,) of an image's first byte in its tar file.
        sizes: (N,) bytes.
        names: N, of the images in their shards.
        labels: (N,) positions in `label_names`, -1 without a label.
        ends: (G,) int64: the number of images in a shard and all before it.
        lengths: G, bytes of the tar files.
        label_names: the labels as text: numbers by size, other text by letters.
        passed_over: names of samples without an image.
        damaged: names of shards that could not be read to their end -> why.
        digest: twelve hex digits of all names, places, sizes and labels.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the index in a folder.

        Raises:
            OSError, ValueError, KeyError, TypeError: there is none, or one of another version.
        """
        about = load_json(folder / "index.json")
        if about["version"] != VERSION:
            raise ValueError(f"'{folder}' is of version {about['version']}")
        self.folder = folder
        self.offsets, self.sizes, self.labels, starts, text = (
            _mapped(folder / name, dtype) for name, dtype in ARRAYS.items()
        )
        self.names = Names(text, starts)
        self.ends: NDArray[np.int64] = np.array(about["ends"], np.int64)
        self.lengths: list[int] = about["lengths"]
        self.label_names: list[str] = about["label_names"]
        self.passed_over: list[str] = about["passed_over"]
        self.damaged: dict[str, str] = about["damaged"]
        self.digest: str = about["digest"]

    def __reduce__(self) -> tuple[type[ShardIndex], tuple[Path]]:
        return ShardIndex, (self.folder,)

    def __len__(self) -> int:
        return len(self.offsets)

    def shard_of(self, number: int) -> int:
        """Returns the number of the shard that an image is in."""
        return int(np.searchsorted(self.ends, number, "right"))


def write_index(folder: Path, shards: Shards, tables: Iterable[ShardTable]) -> None:
    """Writes the index of shards, whole or not at all; earlier ones of the same shards are removed.

    Args:
        folder: of the index.
        shards: what the tables are of.
        tables: one per shard, in order; they are not kept in memory.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_folder(folder) as fresh:
        _write(fresh, shards, tables)
    for other in folder.parent.iterdir():
        if other != folder and other.name.rpartition("-")[0] == folder.name.rpartition("-")[0]:
            with suppress(OSError):  # Windows removes no file that another process has mapped
                shutil.rmtree(other)


def _write(fresh: Path, shards: Shards, tables: Iterable[ShardTable]) -> None:
    ends, lengths, passed_over, damaged = list[int](), list[int](), list[str](), dict[str, str]()
    names: dict[str, int] = {}
    sha, count, letters = hashlib.sha256(), 0, 0
    with ExitStack() as stack:
        files = {name: stack.enter_context((fresh / name).open("wb")) for name in ARRAYS}
        files["name_starts"].write(bytes(8))  # of the first name
        for shard, table in zip(shards.found, tables, strict=True):
            number = np.array(
                [names.setdefault(label, len(names)) for label in table.labels] or [-1], np.int64
            )
            codes = np.where(table.codes < 0, -1, number[table.codes])
            starts = letters + table.name_sizes.cumsum(dtype=np.int64)  # of the next names
            columns: tuple[NDArray[Any], ...] = (table.offsets, table.sizes, codes, starts, table.names)
            for (name, dtype), column in zip(ARRAYS.items(), columns, strict=True):
                files[name].write(column.astype(dtype, copy=False).tobytes())
            for digested in (table.names, table.name_sizes, table.offsets, table.sizes, table.codes):
                sha.update(digested.tobytes())
            sha.update(json.dumps(table.labels).encode())
            count, letters = count + len(table.offsets), letters + len(table.names)
            ends.append(count)
            lengths.append(table.length)
            passed_over += table.passed_over
            if table.damage is not None:
                damaged[shard.url] = table.damage
    sorted_names = sorted(names, key=_label_order)
    place = {name: number for number, name in enumerate(sorted_names)}
    _renumber(fresh / "labels", [place[name] for name in names])
    write_json(
        fresh / "index.json",
        {
            "version": VERSION,
            "ends": ends,
            "lengths": lengths,
            "label_names": sorted_names,
            "passed_over": passed_over,
            "damaged": damaged,
            "digest": sha.hexdigest()[:12],
        },
    )


def _label_order(label: str) -> tuple[int, int, str]:
    """Sorts numbers by size before other text."""
    number = label.isascii() and label.isdigit()
    return (0, int(label), label) if number else (1, 0, label)


def _renumber(file: Path, numbers: list[int]) -> None:
    """Replaces label n by numbers[n] in a file, part by part."""
    table = np.array([*numbers, -1], np.int64)  # -1 stays what it is
    with file.open("r+b") as labels:
        for part in iter(lambda: labels.read(8 * _CHUNK), b""):
            labels.seek(-len(part), os.SEEK_CUR)
            labels.write(table[np.frombuffer(part, np.int64)].tobytes())


def _mapped(file: Path, dtype: Any) -> NDArray[Any]:
    """Maps a file into memory; where someone writes to the array, that stays with this process."""
    if file.stat().st_size == 0:
        return np.empty(0, dtype)
    return np.memmap(file, dtype, mode="c")
