"""Files and folders that appear whole or not at all: whatever fails on the way leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_zoo.files.folders import make_folder, remove_empty

__all__ = ["is_temporary", "naming", "whole_file", "whole_folder", "write_file"]

TEMPORARY = ".tmp"  # ends what a killed process may leave behind


def is_temporary(path: Path) -> bool:
    """Whether a file or folder is what a killed process left half written."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file or folder in an error of the disk's, which says nothing of where it was met while writing.

    `torch.save` and others raise an error of their own on top of it, which says less.

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
def whole_file(path: Path, *, temporary: str | None = None) -> Iterator[Path]:
    """Yields the place to write a file to; at the end of the block it replaces the one at `path`.

    Args:
        path: the file.
        temporary: its name meanwhile, where only one process at a time writes it; null: one of this process's own.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    fresh = path.with_name(temporary or f".{path.name}-{os.getpid()}{TEMPORARY}")
    try:
        with naming(path):
            yield fresh
            os.replace(fresh, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def write_file(path: Path, contents: str | bytes) -> None:
    """Writes a file whole or not at all; text as UTF-8."""
    with whole_file(path) as fresh:
        fresh.write_bytes(contents.encode() if isinstance(contents, str) else contents)


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Yields an empty folder to fill; at the end of the block its files are all that is in the folder `place`.

    A folder that is there stays the same one, so that it may be the current one or a disk of its own.

    Raises:
        OSError: it cannot be written; `place` is as it was.
    """
    with naming(place):
        above = [] if place.is_dir() else make_folder(place.absolute().parent)
        staging = Path(tempfile.mkdtemp(TEMPORARY, ".", place if place.is_dir() else place.absolute().parent))
        fresh = staging / "new"
        try:
            fresh.mkdir()
            yield fresh
            if place.is_dir():
                for old in place.iterdir():
                    if old.name != staging.name:
                        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
                for path in fresh.iterdir():
                    os.replace(path, place / path.name)
            else:
                os.replace(fresh, place)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            remove_empty(above)
