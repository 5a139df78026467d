"""Atomic writes: files and folders appear whole or not at all, and a failure leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_zoo.files.folders import make_folder, remove_empty

__all__ = ["atomic_file", "atomic_folder", "is_temporary", "naming_errors", "write_file"]

TEMPORARY = ".tmp"  # ends what a killed process may leave behind


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is what a killed process left half written."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Adds the name of the file or folder to an error of the disk, which lacks it while writing.

    `torch.save` and others raise another error on top of it, which explains less.

    Raises:
        OSError: what the block met, with a `filename`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        met: BaseException | None = error
        while met is not None and not (isinstance(met, OSError) and met.errno is not None):
            met = met.__cause__ or met.__context__
        if met is None or met.filename is not None:
            raise
        raise OSError(met.errno, met.strerror, str(path)) from error


@contextmanager
def atomic_file(path: Path, *, temporary: str | None = None) -> Iterator[Path]:
    """Yields the path to write a file to; at the end of the block that file replaces the one at `path`.

    Args:
        path: the file.
        temporary: its name meanwhile, where one process at a time writes it; None: a name of this process alone.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    fresh = path.with_name(temporary or f".{path.name}-{os.getpid()}{TEMPORARY}")
    try:
        with naming_errors(path):
            yield fresh
            os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def write_file(path: Path, contents: str | bytes) -> None:
    """Writes a file whole or not at all; text as UTF-8."""
    with atomic_file(path) as fresh:
        fresh.write_bytes(contents.encode() if isinstance(contents, str) else contents)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; at the end of the block its files are all that is in `folder`.

    A folder that is there stays the same one, so that it may be the current one or a disk of its own.

    Raises:
        OSError: it cannot be written; `folder` is as it was.
    """
    with naming_errors(folder):
        above = [] if folder.is_dir() else make_folder(folder.absolute().parent)
        staging = Path(
            tempfile.mkdtemp(TEMPORARY, ".", folder if folder.is_dir() else folder.absolute().parent)
        )
        fresh = staging / "new"
        try:
            fresh.mkdir()
            yield fresh
            if folder.is_dir():
                for old in folder.iterdir():
                    if old.name != staging.name:
                        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
                for path in fresh.iterdir():
                    os.replace(path, folder / path.name)
            else:
                os.replace(fresh, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            remove_empty(above)
