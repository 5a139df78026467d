"""The folder of a run while it trains: locked, and removed again where nothing came of it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_zoo.config.compose import written
from ssl_zoo.errors import DiskError, Interrupted
from ssl_zoo.files.locks import LOCK, hold, is_empty
from ssl_zoo.files.writing import naming
from ssl_zoo.runs.checkpoints import LAST, PREVIOUS

__all__ = ["command_to_continue", "own_folder"]


@contextmanager
def own_folder(run_dir: Path) -> Iterator[bool]:
    """Holds a run directory for the time of the block, as `locks.hold` does.

    Where the block fails before there is a checkpoint, a directory that was new or empty is so again.

    Raises:
        UserError: another process holds it.
        OSError: the disk's; a `DiskError` where the run can be continued, which says how.
    """
    with hold(run_dir) as locked:
        new = is_empty(run_dir)
        try:
            with naming(run_dir):
                yield locked
        except BaseException as error:
            saved = any((run_dir / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS))
            if new and not saved:
                _clear(run_dir)
            kept = f"what was saved before is kept; to continue: {command_to_continue(run_dir)}"
            if isinstance(error, OSError) and saved:
                raise DiskError(error, kept) from error
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(f"stopped; {kept if saved else 'nothing was saved yet'}") from None
            raise


def command_to_continue(run_dir: Path) -> str:
    """The command that continues a run, as it is typed."""
    return shlex.join(["ssl-zoo", "train", written("run_dir", str(run_dir)), "resume=auto"])


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
