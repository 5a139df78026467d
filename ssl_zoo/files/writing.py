"""Atomic writes: files appear whole or not at all, and a failure leaves nothing behind.

The bytes reach the disk before the name does, so that a power cut leaves no file that is empty or cut off.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["TEMPORARY", "atomic_file", "is_temporary", "naming_errors", "synchronize", "write_file"]

TEMPORARY = ".tmp"  # ends what a killed process may leave behind


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is what a killed process left half written."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


def _is_within_temporary(name: object) -> bool:
    return isinstance(name, (str, bytes)) and any(
        is_temporary(path) for path in (Path(os.fsdecode(name)), *Path(os.fsdecode(name)).parents)
    )


@contextmanager
def naming_errors(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Adds the file's or folder's name to an error of the disk, which lacks it while writing, or has a temporary one.

    `torch.save` and others raise another error on top of it, which explains less.

    Args:
        path: the name that a user knows.
        temporary: that of the file meanwhile.

    Raises:
        OSError: what the block met, with a `filename`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        met: BaseException | None = error
        while met is not None and not (isinstance(met, OSError) and met.errno is not None):
            met = met.__cause__ or met.__context__
        known = (None, str(temporary))
        if met is None or not (met.filename in known or _is_within_temporary(met.filename)):
            raise
        raise OSError(met.errno, met.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path, *, temporary: str | None = None, derived: bool = False) -> Iterator[Path]:
    """Yields the path to write a file to; at the end of the block that file replaces the one at `path`.

    Args:
        path: the file.
        temporary: its name meanwhile, where one process at a time writes it; None: a name of this process alone.
        derived: whether it is written anew from others after a power cut; then the disk isn't waited for.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    fresh = path.with_name(temporary or f".{path.name}-{os.getpid()}{TEMPORARY}")
    try:
        with naming_errors(path, fresh):
            yield fresh
            if not derived:
                synchronize(fresh)
            os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def write_file(path: Path, contents: str | bytes) -> None:
    """Writes a file whole or not at all; text as UTF-8."""
    with atomic_file(path) as fresh:
        fresh.write_bytes(contents.encode() if isinstance(contents, str) else contents)


def synchronize(path: Path) -> None:
    """Waits until the disk has the bytes of a file, or of all files below a folder."""
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file():
            with file.open("rb+") as opened:  # Windows synchronizes no file that is open for reading
                os.fsync(opened.fileno())
