"""Copies of shards that are elsewhere, compressed or a command's output, in a folder of bounded size.

Whichever process needs a shard first fetches it, under a lock, for all processes of the machine; the shards that come
next are fetched ahead by a thread. Those that were used least recently make room.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

from torch import Tensor

from ssl_zoo.data.shards.patterns import Shard
from ssl_zoo.data.shards.remote import BUFFER, UnreachableShard, opened_shard
from ssl_zoo.files.locks import hold
from ssl_zoo.files.writing import atomic_file

__all__ = ["Spool"]


class Spool:
    """Shards as uncompressed files on disk.

    Args:
        folder: of the copies.
        shards: all of them.
        copied: whether each is copied; the others are read where they are.
        most: bytes of all copies.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard], copied: Sequence[bool], most: float) -> None:
        self._folder, self._shards, self._copied, self._most = folder, shards, copied, most
        self._mutex = (os.getpid(), threading.Lock())

    def __getstate__(self) -> tuple[object, ...]:
        return self._folder, self._shards, self._copied, self._most

    def __setstate__(self, state: tuple[Path, Sequence[Shard], Sequence[bool], float]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def copies(self) -> bool:
        """Whether any shard is copied."""
        return any(self._copied)

    def is_copied(self, number: int) -> bool:
        """Whether a shard is copied."""
        return self._copied[number]

    def folder_of(self, number: int) -> Path:
        """Returns the folder of a shard's copy."""
        return self._copy(number).parent

    def path(self, number: int, stop: Callable[[], bool] = lambda: False) -> str:
        """Returns the file of a shard, fetched first where it is not there.

        Raises:
            UnreachableShard: it cannot be fetched, or `stop` became true.
            DamagedShard: it cannot be uncompressed.
            OSError: it cannot be written.
        """
        if not self._copied[number]:
            return self._shards[number].url
        path = self._copy(number)
        if not path.is_file():
            with self._within_process(), hold(path.parent, wait=True):
                if not path.is_file():
                    self._fetch(number, path, stop)
                    self._make_room(path)
        with contextlib.suppress(OSError):
            os.utime(path)
        return str(path)

    def ahead(
        self, batches: Iterable[Tensor], shards_of: Callable[[Tensor], list[int]], most: int
    ) -> Iterator[Tensor]:
        """Yields batches, while the shards of the next ones, up to `most` different ones, are fetched."""
        if not self.copies:
            yield from batches
            return
        wanted: SimpleQueue[int | None] = SimpleQueue()
        stopped = threading.Event()
        thread = threading.Thread(target=self._fetch_all, args=(wanted, stopped), daemon=True)
        thread.start()
        queue: deque[tuple[Tensor, list[int]]] = deque()
        near: Counter[int] = Counter()
        try:
            for batch in batches:
                shards = shards_of(batch)
                while queue and len({*near, *shards}) > most:
                    yield _next(queue, near)
                for number in shards:
                    if number not in near:
                        wanted.put(number)
                near.update(shards)
                queue.append((batch, shards))
            while queue:
                yield _next(queue, near)
        finally:
            stopped.set()
            wanted.put(None)
            # The thread may be the one that collects this generator as garbage.
            if thread is not threading.current_thread():
                thread.join(timeout=10)

    def _fetch_all(self, wanted: SimpleQueue[int | None], stopped: threading.Event) -> None:
        while (number := wanted.get()) is not None and not stopped.is_set():
            with contextlib.suppress(Exception):  # whoever reads the shard meets the same, and reports it
                self.path(number, stopped.is_set)

    def _copy(self, number: int) -> Path:
        shard = self._shards[number]
        name = hashlib.sha256(f"{shard.url}\n{shard.size} {shard.stamp}".encode(errors="surrogateescape"))
        return self._folder / name.hexdigest()[:16] / "shard.tar"

    def _fetch(self, number: int, path: Path, stop: Callable[[], bool]) -> None:
        # Of a name that the next attempt overwrites: what a killed process leaves may be large.
        with (
            atomic_file(path, temporary=".shard.tar.tmp") as fresh,
            fresh.open("wb") as copy,
            contextlib.closing(_blocks(self._shards[number])) as blocks,
        ):
            for block in blocks:
                copy.write(block)
                if stop():
                    raise UnreachableShard("it is no longer needed")

    def _make_room(self, kept: Path) -> None:
        """Removes the copies that were used least recently, until the others are small enough."""
        copies = []
        for path in self._folder.glob("*/shard.tar"):
            with contextlib.suppress(OSError):  # another process has just removed it
                status = path.stat()
                copies.append((status.st_mtime_ns, status.st_size, path))
        size = sum(copy[1] for copy in copies)
        for _, bytes_of_copy, path in sorted(copies):
            if size <= self._most:
                return
            if path != kept:
                with contextlib.suppress(OSError):
                    path.unlink()
                    path.parent.rmdir()
                size -= bytes_of_copy

    @contextlib.contextmanager
    def _within_process(self) -> Iterator[None]:
        """Keeps the threads of a process apart; a process that was forked has a lock of its own."""
        if self._mutex[0] != os.getpid():
            self._mutex = (os.getpid(), threading.Lock())
        with self._mutex[1]:
            yield


def _blocks(shard: Shard) -> Generator[bytes, None, None]:
    """Yields a shard's bytes; errors of whoever writes them are none of the shard's."""
    with opened_shard(shard) as source:
        while block := source.read(BUFFER):
            yield block


def _next(queue: deque[tuple[Tensor, list[int]]], near: Counter[int]) -> Tensor:
    batch, shards = queue.popleft()
    near.subtract(shards)
    for number in shards:
        if near[number] <= 0:
            del near[number]
    return batch
