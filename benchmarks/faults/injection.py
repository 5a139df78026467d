"""A fault planted into a process at one of its file operations, by Python's audit events.

Counted are the operations below a folder: a file opened for writing, renamed or removed, a folder made or removed.
The n-th is where the fault happens: the disk is full from there on, the process is killed, the power fails. An audit
hook cannot be taken away again, so that a fault is planted into a process of its own.

- [0] PEP 578, https://peps.python.org/pep-0578
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import time
from typing import Any, NamedTuple

__all__ = ["DAMAGES", "Injection", "damage", "plant"]

FULL = (errno.ENOSPC, errno.EDQUOT)  # errors under which files can still be renamed and removed
DAMAGES = ("half of it", "zeros", "random bytes", "vanished")  # see `damage`
WRITES = os.O_WRONLY | os.O_RDWR


class Injection(NamedTuple):
    """A fault and its moment.

    kind: `none`, only counts; `error`, the error `number` from here on; `short`, no file grows beyond `amount` bytes;
    `kill`; `power`, a kill after which files that were not synchronised to the disk lack their end; `hang`, for
    `amount` seconds; `clock`, jumps by `amount` seconds; `vanish`, the folder is removed; `damage`, `path` is another
    file from here on; `deny`, `path` may not be opened from here on.
    """

    kind: str
    folder: str
    at: int = 0
    number: int = 0
    amount: float = 0.0
    reads: bool = False  # whether opening a file for reading counts
    children: bool = (
        False  # whether it is for the processes that this one forks, each of which counts for itself
    )
    module: str = ""  # whose process it is for; empty: the command's own
    path: str = ""  # of an image
    trace: str = ""  # file that gets a line for each operation


class _Planted:
    def __init__(self, fault: Injection) -> None:
        self.fault, self.pid, self.done, self.busy, self.denied = fault, os.getpid(), 0, False, False
        self.folder = os.path.join(os.path.realpath(fault.folder), "")
        self.safe: dict[
            str, int
        ] = {}  # files written to, with the bytes of each that are on the disk for good
        self.trace = os.open(fault.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if fault.trace else None
        self.sync = os.fsync

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.busy or event not in _OPERATIONS:
            return
        if self.denied and event == "open" and args[0] == self.fault.path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.fault.path)
        if (os.getpid() == self.pid) == self.fault.children:
            return
        self.busy = True
        try:
            paths = _OPERATIONS[event](args, self.fault.reads)
            below = [path for path in map(_absolute, paths) if path.startswith(self.folder)]
            if below:
                self._count(event, below, [_absolute(path) for path in paths])
        finally:
            self.busy = False

    def _count(self, event: str, below: list[str], paths: list[str]) -> None:
        number, self.done = self.done, self.done + 1
        if self.trace is not None:
            names = " -> ".join(os.path.relpath(path, self.folder) for path in paths)
            os.write(self.trace, f"{event.removeprefix('os.')} {names}\n".encode())
        if number >= self.fault.at:
            self._strike(event, below[0], first=number == self.fault.at)
        if event == "open":
            self.safe.setdefault(below[0], 0)
        if event == "os.rename":
            source, target = paths
            self.safe.pop(target, None)
            for path in [path for path in self.safe if path == source or path.startswith(source + os.sep)]:
                self.safe[target + path[len(source) :]] = self.safe.pop(path)

    def _strike(self, event: str, path: str, *, first: bool) -> None:
        fault = self.fault
        if fault.kind == "error":
            if event in ("open", "os.mkdir") or fault.number not in FULL:
                raise OSError(fault.number, os.strerror(fault.number), path)
        elif not first:
            return
        elif fault.kind == "short":
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (int(fault.amount), resource.RLIM_INFINITY))
        elif fault.kind == "power":
            for file, safe in self.safe.items():
                if os.path.isfile(file) and (size := os.path.getsize(file)) > safe:
                    os.truncate(file, safe + int(fault.amount * (size - safe)))
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.kind == "hang":
            time.sleep(fault.amount)
        elif fault.kind == "clock":
            _jump(fault.amount)
        elif fault.kind == "vanish":
            shutil.rmtree(self.folder)
        elif fault.kind == "damage":
            damage(fault.path, fault.number)
        elif fault.kind == "deny":
            self.denied = True

    def synced(self, descriptor: int) -> None:
        """Synchronises a file, whose contents are then safe."""
        self.sync(descriptor)
        if os.path.exists(link := f"/proc/self/fd/{descriptor}"):
            self.safe[os.readlink(link)] = os.fstat(descriptor).st_size


def damage(path: str, number: int) -> None:
    """Replaces a file by half of it, by zeros, by random bytes or by nothing; others linked to it stay."""
    with open(path, "rb") as file:
        contents = file.read()
    os.unlink(path)
    harmed = (contents[: len(contents) // 2], bytes(len(contents)), random.Random(0).randbytes(len(contents)))
    if number < len(harmed):
        with open(path, "wb") as file:
            file.write(harmed[number])


def _opened(args: tuple[Any, ...], reads: bool) -> list[Any]:
    path, _, flags = args
    return [path] if reads or (isinstance(flags, int) and flags & WRITES) else []


def _named(args: tuple[Any, ...], reads: bool) -> list[Any]:
    return list(args[:1]) if args[-1] == -1 else []  # of a descriptor: `shutil.rmtree` within a folder


def _renamed(args: tuple[Any, ...], reads: bool) -> list[Any]:
    return list(args[:2])


_OPERATIONS = {
    "open": _opened,
    "os.rename": _renamed,
    "os.remove": _named,
    "os.rmdir": _named,
    "os.mkdir": _named,
}


def _absolute(path: Any) -> str:
    try:
        return os.path.abspath(os.fsdecode(path))
    except (TypeError, ValueError):  # a descriptor
        return ""


def _jump(seconds: float) -> None:
    clock, nanoseconds = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: nanoseconds() + int(1e9 * seconds)


def plant(fault: Injection) -> None:
    """Plants a fault into this process, for good."""
    planted = _Planted(fault)
    os.fsync = planted.synced  # type: ignore[assignment]
    sys.addaudithook(planted.hook)
