"""Removes run directories, each whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ssl_zoo.errors import UserError
from ssl_zoo.files.locks import LOCK, hold, holder_of, is_held
from ssl_zoo.files.writing import TEMPORARY
from ssl_zoo.run_dir.find import find_folders
from ssl_zoo.run_dir.listed_run import ListedRun

__all__ = ["aside_of", "check_removable", "inner_first", "remove_run", "size_of"]


def size_of(folder: Path) -> int:
    """Returns the bytes of all files below a folder; links count themselves."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # gone meanwhile
                continue
    return total


def inner_first(folders: Iterable[Path]) -> list[Path]:
    """Returns folders in the order in which they are removed: those within another before it."""
    return sorted(folders, key=lambda folder: len(Path(os.path.realpath(folder)).parts), reverse=True)


def check_removable(runs: Sequence[ListedRun]) -> None:
    """Refuses to remove what must stay; nothing has been removed then.

    Raises:
        UserError: a run is under way, isn't a run for certain, is a link, or holds another run that is not removed.
    """
    going = {os.path.realpath(run.folder) for run in runs}
    for run in runs:
        if run.state == "damaged" or not (run.has_begun or run.state == "queued"):
            reason = run.problem or "nothing but config.yaml is a run's"
            raise UserError(
                f"do=remove takes run directories; '{run.folder}' may be none: {reason}; remove it yourself"
            )
        if run.folder.is_symlink():
            raise UserError(
                f"do=remove follows no links; '{run.folder}' is one; name the folder that it leads to"
            )
        if run.is_busy:
            raise UserError(
                f"do=remove takes runs that no process works on; one holds '{run.folder}', which is {run.state}: "
                f"{holder_of(run.folder)}; stop it first, or leave the run out"
            )
        _check_other_hosts(run)
        _check_within(run.folder, going)


def _check_other_hosts(run: ListedRun) -> None:
    """Refuses a run whose lock is signed on another machine: some file systems show no machine another's locks."""
    holder = holder_of(run.folder, elsewhere=True)
    if holder is not None:
        raise UserError(
            f"do=remove takes runs that no process works on; the lock in '{run.folder}' was left by {holder}, which "
            "may be at work still where a file system has no locks across machines; where it has ended, delete "
            f"'{run.folder / LOCK}'"
        )


def _check_within(folder: Path, going: Collection[str] = ()) -> None:
    within = (found.folder for found in find_folders(folder) if found.folder != folder)
    other = next((each for each in within if os.path.realpath(each) not in going), None)
    if other is not None:
        raise UserError(
            f"do=remove takes whole folders; '{folder}' holds '{other}' as well, which is not among the listed "
            "runs; move that elsewhere, or list both"
        )


def aside_of(folder: Path) -> Path:
    """Returns the hidden folder beside a run directory to which it is renamed before this process deletes it."""
    folder = _whole_path(folder)
    return folder.with_name(f".{folder.name[:100]}-{os.getpid()}{TEMPORARY}")


def _whole_path(folder: Path) -> Path:
    """Returns a path whose last name is the folder's own: that of `.` or `..` is not. A link stays one."""
    return folder.resolve() if folder.name in ("", "..") else folder.parent.resolve() / folder.name


def remove_run(folder: Path) -> None:
    """Removes a run directory: it is renamed first, so that no half of a run is left where a run was.

    Raises:
        UserError: a process has taken it, or begun a run in it, meanwhile.
        OSError: it cannot be removed; after the renaming its remains are in `aside_of` it.
    """
    folder = _whole_path(folder)
    aside = aside_of(folder)
    with _kept_from_others(folder):
        _check_within(folder)
        os.rename(folder, aside)
    shutil.rmtree(aside)


@contextmanager
def _kept_from_others(folder: Path) -> Iterator[None]:
    """Holds a folder for the time of the block, but on Windows, where no folder with an open file can be renamed."""
    if sys.platform == "win32":
        if is_held(folder):
            raise UserError(f"do=remove takes runs that no process works on; '{folder}' is held by one")
        yield
    else:
        with hold(folder):
            yield
