"""The tables of all shards: read from their headers, from the index beside them, or from an earlier start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.data.shards.beside import beside
from ssl_zoo.data.shards.index import ShardIndex, write_index
from ssl_zoo.data.shards.patterns import Shard, Shards
from ssl_zoo.data.shards.remote import UnreachableShard, is_compressed, unreachable
from ssl_zoo.data.shards.spool import Spool
from ssl_zoo.data.shards.table import ShardTable, read_table, scan_shard, write_table
from ssl_zoo.data.shards.tar import DamagedShard
from ssl_zoo.data.workers import Work, run_tasks
from ssl_zoo.files.locks import hold
from ssl_zoo.files.writing import write_file

__all__ = ["open_index", "spool_of"]

_FEW = 8  # shards that are read sooner than a process has started
_AHEAD = 4  # shards that are fetched while one is read


def spool_of(shards: Shards, root: Path, most: float) -> Spool:
    """Returns the copies of shards in a folder below `root`, of at most so many bytes."""
    copied = [not shard.on_disk or is_compressed(_head(shard)) for shard in shards.found]
    return Spool(root / f"spool-{shards.digest}", shards.found, copied, most)


def open_index(shards: Shards, spool: Spool, root: Path, label: str, workers: int) -> ShardIndex:
    """Returns the index of shards, made anew where there is none of these.

    One process of a machine makes it, others wait for it.

    Args:
        shards: what there is.
        spool: their copies.
        root: folder in which indices are kept.
        label: where labels are; see `table.scan_shard`.
        workers: processes that read.

    Raises:
        UserError: a shard cannot be reached.
    """
    folder = root / f"index-{shards.digest}-{_kind(label)}-{shards.stamp}"
    with hold(root / f"indexing-{shards.digest}", wait=True):
        try:
            return ShardIndex(folder)
        except (OSError, ValueError, KeyError, TypeError):  # not there, or of another version
            write_index(folder, shards, _tables(shards, spool, label, workers))
    return ShardIndex(folder)


def _tables(shards: Shards, spool: Spool, label: str, workers: int) -> Iterator[ShardTable]:
    work = _TableWork(shards.found, spool, label)
    tasks = torch.arange(len(shards.found)).split(1)  # type: ignore[no-untyped-call]
    ready: Iterable[Tensor] = spool.ahead(
        tasks, lambda task: [n for n in task.tolist() if not work.is_kept(n)], _AHEAD
    )
    # A file system of fsspec that this process has used is not one for a process that is forked from it.
    processes = workers if len(shards.found) > _FEW and not spool.copies else 0
    return run_tasks(work, ready, processes)


class _TableWork(Work[Tensor, ShardTable]):
    """The number of a shard (1,) -> its table; a UserError where it cannot be reached."""

    def __init__(self, shards: Sequence[Shard], spool: Spool, label: str) -> None:
        self._shards, self._spool, self._label = shards, spool, label

    def is_kept(self, number: int) -> bool:
        """Whether a shard need not be fetched for its table."""
        return not self._spool.is_copied(number) or self._kept(number) is not None

    def do(self, task: Tensor) -> ShardTable:
        number = int(task)
        if (kept := self._kept(number)) is not None:
            return kept
        shard, copied = self._shards[number], self._spool.is_copied(number)
        try:
            with open(self._spool.path(number), "rb") as file:
                table = scan_shard(file, self._label)
        except DamagedShard as error:
            table = _empty(str(error))
        except (UnreachableShard, OSError) as error:
            if copied and isinstance(error, OSError):  # of the copy, not of the shard
                raise
            reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
            raise unreachable(shard, reason) from error
        if (file_of_table := self._file(number)) is not None and table.damage is None:
            write_file(file_of_table, write_table(table))
        return table

    def _kept(self, number: int) -> ShardTable | None:
        """Returns the table from beside the shard, or that of an earlier start; None without either."""
        file = self._file(number)
        if file is None:
            return None
        try:
            return read_table(file.read_bytes())
        except (OSError, ValueError):
            return beside(self._shards[number], self._label)

    def _file(self, number: int) -> Path | None:
        if not self._spool.is_copied(number):
            return None
        return self._spool.folder_of(number) / f"table-{_kind(self._label)}.npz"


def _kind(label: str) -> str:
    """Returns six hex digits of where labels are."""
    return hashlib.sha256(label.encode()).hexdigest()[:6]


def _empty(damage: str) -> ShardTable:
    nothing = np.empty(0, np.int64)
    small = nothing.astype(np.uint32)
    return ShardTable(
        nothing.astype(np.uint8), small, nothing, small, nothing.astype(np.int32), (), 0, damage=damage
    )


def _head(shard: Shard) -> bytes:
    try:
        with open(shard.url, "rb") as file:
            return file.read(6)
    except OSError:  # reported when it is read
        return b""
