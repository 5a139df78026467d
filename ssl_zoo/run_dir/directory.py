"""The directory of a run: chosen, locked while it trains, and removed again where nothing came of it."""

from __future__ import annotations

import datetime
import itertools
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import DiskError, Interrupted, UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.locks import LOCK, SUBMITTED, hold, is_empty
from ssl_zoo.files.writing import is_temporary, naming_errors
from ssl_zoo.run_dir.checkpoints import LAST, PREVIOUS

__all__ = ["choose_run_dir", "claim_run_dir", "command_to_continue"]

FILES = ("config.yaml", "environment.json", "metrics.csv", "result.json", "curves.png")
OURS = tuple(f".{name}-" for name in FILES)  # begin the names of temporary files; an evaluation has others


def choose_run_dir(config: RunConfig) -> Path:
    """Returns the directory of this run; nothing is created.

    Raises:
        UserError: it holds files already, and `resume` does not continue just that run; it cannot be written.
    """
    if config.run_dir is not None:
        folder = Path(config.run_dir).expanduser()
        _check(config, folder)
        return folder
    if config.resume == "auto":
        raise UserError("resume=auto continues the run in run_dir, which is not set; set run_dir=FOLDER")
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    folder = Path("runs") / f"{now}-{config.data.name}-{config.method.name}-s{config.seed}"
    return next(path for path in _numbered(folder) if not path.exists())


def _numbered(folder: Path) -> Iterator[Path]:
    """Yields the folder and, for runs that begin in the same second, others by its name."""
    yield folder
    for number in itertools.count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def _check(config: RunConfig, folder: Path) -> None:
    """Checks that a run may write to its directory.

    Raises:
        UserError: it holds files already, and `resume` does not continue just that run; it cannot be written.
    """
    check_writable(folder, "run_dir must be a folder that can be written to", "choose another")
    if is_empty(folder):
        return
    if config.resume == "auto" and not (folder / "config.yaml").is_file():
        raise UserError(
            f"resume=auto continues a run; '{folder}' holds files but no run; choose another run_dir"
        )
    continues = config.resume == "auto" or (
        config.resume is not None
        and folder.resolve() in (Path(config.resume).expanduser() / "x").resolve().parents
    )
    if not continues:
        with hold(folder):  # a run that is under way there is named, and not advised to be continued
            raise UserError(
                f"run_dir must be new or empty; '{folder}' holds files already; choose another, or continue the run "
                "in it with resume=auto"
            )


@contextmanager
def claim_run_dir(config: RunConfig) -> Iterator[tuple[Path, bool]]:
    """Chooses the run directory and keeps other processes out of it for the time of the block.

    Where the block fails before there is a checkpoint, a directory that was new or empty is emptied again.

    Yields:
        The directory, and whether others are kept out: false where the file system has no locks.

    Raises:
        UserError: as in `choose_run_dir`, or another process holds it.
        OSError: the disk's; a `DiskError` where the run can be continued, which says how.
    """
    run_dir = choose_run_dir(config)
    with hold(run_dir) as locked:
        _check(config, run_dir)  # once more: another process may have ended there meanwhile
        new = is_empty(run_dir)
        if locked:
            _remove_leftovers(run_dir)
        try:
            with naming_errors(run_dir):
                yield run_dir, locked
        except BaseException as error:
            saved = any((run_dir / "checkpoints" / name).is_file() for name in (LAST, PREVIOUS))
            if new and not saved:
                _clear(run_dir)
            kept = f"what was saved before is kept; to continue: {command_to_continue(run_dir)}"
            if isinstance(error, OSError) and saved:
                raise DiskError(error, kept) from error
            if isinstance(error, KeyboardInterrupt):
                text = f"stopped; {kept if saved else 'nothing was saved yet'}"
                raise Interrupted(text, getattr(error, "number", 0)) from None
            raise


def command_to_continue(run_dir: Path) -> str:
    """Returns the command that continues a run, as it is typed."""
    return shlex.join(["ssl-zoo", "train", write_override("run_dir", str(run_dir)), "resume=auto"])


def _remove_leftovers(run_dir: Path) -> None:
    """Removes what killed starts have left half written, of the files that none but the training writes."""
    for path in run_dir.iterdir():
        if is_temporary(path) and path.name.startswith(OURS):
            path.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in (LOCK, SUBMITTED):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
