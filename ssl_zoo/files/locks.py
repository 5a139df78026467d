"""Locks, so that one process at a time writes to a folder: a run, a suite's trial or an embedding.

The lock is the operating system's, by the filelock package: it ends with its process, however that ends, so that
none is ever stale. `.lock` in the folder names the process while it works there; what a killed process leaves of it
locks nothing and is taken over by the next.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable, make_folder, remove_empty
from ssl_zoo.files.json_files import load_json
from ssl_zoo.files.writing import is_temporary

__all__ = ["LOCK", "SUBMITTED", "hold", "holder_of", "is_empty", "is_held"]

LOCK = ".lock"
SUBMITTED = "submitit"  # in a run directory: the files of the job that trains the run
PATIENCE = 0.1  # seconds: a lock that is just being let go is waited for
NO_LOCKS = (
    errno.ENOSYS,
    errno.ENOLCK,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
)  # errors of a file system without locks


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing, or is not there.

    What a killed process may leave behind does not count, nor do the files of the job that trains there.
    """
    beside = (LOCK, SUBMITTED)
    return not folder.is_dir() or all(path.name in beside or is_temporary(path) for path in folder.iterdir())


@contextmanager
def hold(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Keeps other processes out of a folder for the time of the block. A process may hold a folder twice.

    Args:
        folder: created if it isn't there, and removed again if nothing is in it at the end.
        wait: for the process that holds it, however long that takes.

    Yields:
        Whether others are kept out: false where the file system has no locks.

    Raises:
        UserError: another process holds the folder, which the message names; or it cannot be written to.
    """
    check_writable(folder, "results need a folder that can be written to", "choose another")
    created = make_folder(folder)
    lock = FileLock(folder / LOCK, is_singleton=True, fallback_to_soft=False, on_acquired=_sign)
    refused = True
    try:
        locked = _acquire(lock, folder, wait, created)
        refused = False
        yield locked
    finally:
        if not refused and lock.lock_counter <= 1:  # 0 where there are no locks
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink()
        lock.release()
        remove_empty(created)


def is_held(folder: Path) -> bool:
    """Whether a process works in a folder now. Nothing in it is created or changed.

    Where the file system has no locks, or cannot be asked, it is whether the process that the lock names lives, as far
    as this machine knows: one of another machine does.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # it may not be read
    try:
        return _is_locked(descriptor, folder)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, folder: Path) -> bool:
    if sys.platform == "win32":  # the lock's own bytes cannot be read while they are locked
        try:
            os.read(descriptor, 1)
        except PermissionError:
            return True
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go when it is closed
    except BlockingIOError:
        return True
    except OSError:
        return _lives(folder)
    return False


def _lives(folder: Path) -> bool:
    try:
        holder = load_json(folder / LOCK)
        if holder["host"] == socket.gethostname():
            os.kill(int(holder["pid"]), 0)
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return False
    except (OSError, ValueError, LookupError, TypeError):
        return True  # it belongs to another user, or is not written yet
    return True


def _acquire(lock: BaseFileLock, folder: Path, wait: bool, created: list[Path]) -> bool:
    try:
        lock.acquire(timeout=-1 if wait else PATIENCE)
    except Timeout:
        raise UserError(
            f"one process at a time writes to a folder; '{folder}' is written to by "
            f"{holder_of(folder) or 'another process'}; wait until it has ended, stop it, or choose another folder"
        ) from None
    except (
        FileNotFoundError
    ):  # the process that was waited for has removed the folder, in which it left nothing
        created[:0] = make_folder(folder)
        return _acquire(lock, folder, wait, created)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return lock.is_locked


def _sign(descriptor: int) -> None:
    """Writes into the lock which process holds it."""
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": now}
    with contextlib.suppress(OSError):  # a full disk: then it is not named
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())  # from its beginning, where nothing has moved it


def holder_of(folder: Path, *, elsewhere: bool = False) -> str | None:
    """Describes the process that holds a folder, or has left its lock there; None where it is not known.

    Args:
        folder: with the lock.
        elsewhere: whether processes of this machine are left out.
    """
    try:
        holder = load_json(folder / LOCK)
        if elsewhere and holder["host"] == socket.gethostname():
            return None
        return f"process {holder['pid']} on {holder['host']}, since {holder['started']}"
    except (OSError, ValueError, LookupError, TypeError):  # it is not written yet, or no longer
        return None
