"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import make_folder, remove_empty
from ssl_zoo.files.locks import hold
from ssl_zoo.files.writing import TEMPORARY, is_temporary, naming_errors, synchronize

__all__ = ["FRESH", "atomic_folder"]

FRESH = "new"  # in the temporary folder: what is being written
MARK = 100  # characters of a folder's name that mark its temporary folders


@contextmanager
def atomic_folder(folder: Path, last: str | None = None) -> Iterator[Path]:
    """Yields an empty folder to fill; at the end of the block its files are all that is in `folder`.

    A folder that is there stays the same one, so that it may be the current one or a disk of its own. Temporary folders
    that killed processes have left beside it are removed.

    Args:
        folder: the folder.
        last: a file that lists the others: it comes after them where a folder is there, so that a kill meanwhile leaves
            an earlier list, and the new one in the temporary folder.

    Raises:
        OSError: it cannot be written; `folder` is as it was.
        UserError: another process has written it meanwhile.
    """
    there, mark = folder.is_dir(), f".{folder.absolute().name[:MARK]}-"
    place = folder if there else folder.absolute().parent
    with naming_errors(folder):
        above = [] if there else make_folder(place)
        staging = None
        try:
            _remove_abandoned(place, mark)
            staging = Path(tempfile.mkdtemp(TEMPORARY, mark, place))
            fresh = staging / FRESH
            with hold(staging, wait=True):  # so that no other process takes it for abandoned
                fresh.mkdir()
                yield fresh
                synchronize(fresh)
                if there:
                    _replace(folder, fresh, last)
                else:
                    _appear(folder, fresh)
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
            remove_empty(above)


def _appear(folder: Path, fresh: Path) -> None:
    try:
        os.replace(fresh, folder)
    except OSError as error:
        if not folder.is_dir():
            raise
        raise UserError(
            f"one process writes a folder; '{folder}' was not there, and another process has written it meanwhile; "
            "choose another, or start again"
        ) from error


def _replace(folder: Path, fresh: Path, last: str | None) -> None:
    """Puts the new files in place of the old ones, one after another."""
    new = [path.name for path in fresh.iterdir()]
    for name in new:
        if name != last:
            _put(fresh / name, folder / name)
    for old in folder.iterdir():
        if old.name not in new and not (is_temporary(old) and old.is_dir() and not old.is_symlink()):
            _remove(old)
    if last in new:
        _put(fresh / last, folder / last)


def _put(path: Path, target: Path) -> None:
    if target.is_dir():
        _remove(target)
    os.replace(path, target)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove_abandoned(place: Path, mark: str) -> None:
    """Removes temporary folders that no process holds; without locks none can be told from one in use."""
    for path in place.iterdir():
        if path.name.startswith(mark) and is_temporary(path) and path.is_dir() and not path.is_symlink():
            with suppress(UserError, OSError), hold(path) as locked:
                if locked:
                    shutil.rmtree(path, ignore_errors=True)
