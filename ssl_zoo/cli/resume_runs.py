"""`ssl-zoo runs … do=resume`: runs that were interrupted go on, one after another, in this process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ssl_zoo.config.overrides import write_override
from ssl_zoo.errors import Interrupted, ProcessLost, Unfinished, UserError
from ssl_zoo.files.json_files import load_json
from ssl_zoo.run_dir.listed_run import ListedRun

__all__ = ["resume_runs"]

STATES = ("interrupted", "failed")


def resume_runs(runs: Sequence[ListedRun], note: Callable[[str], None]) -> None:
    """Continues the runs that were interrupted or failed, as `ssl-zoo train run_dir=DIR resume=auto` does.

    A run of a suite is continued by the suite's worker, which evaluates it as well.

    Args:
        runs: those of other states are left alone.
        note: prints a line.

    Raises:
        Unfinished: some could not go on; the others did.
        Interrupted: Ctrl-C; what was under way is saved.
    """
    chosen = [run for run in runs if run.state in STATES]
    others = len(runs) - len(chosen)
    rest = f"; {others} of other states are left alone" if others else ""
    note(f"{len(chosen)} of {len(runs)} runs to resume{rest}")
    failures = 0
    for number, run in enumerate(chosen, 1):
        note(f"{number}/{len(chosen)}: {run.folder}")
        try:
            _resume(run.folder)
        except Interrupted as stopped:
            text = f"{stopped}; {number - 1} of {len(chosen)} runs are done, and the same command goes on"
            raise Interrupted(text, stopped.number) from None
        except (UserError, ProcessLost, OSError, MemoryError) as error:  # of this run; the next may go on
            failures += 1
            note(f"{run.folder}: {error}")
    if failures:
        raise Unfinished(f"{failures} of {len(chosen)} runs could not go on; the others are done")


def _resume(folder: Path) -> None:
    trials = [file for file in folder.parent.glob("*.trial") if _is_of(file, folder)]
    if not trials:
        from ssl_zoo.training.run import train

        train([write_override("run_dir", str(folder)), "resume=auto"])
        return
    from ssl_zoo.suites.worker import run_trial

    for file in sorted(trials):
        run_trial({**load_json(file), "folder": str(folder)})


def _is_of(file: Path, folder: Path) -> bool:
    """Whether a suite has written the file about this run: NAME.trial, or with a mark of its evaluations."""
    rest = file.stem.removeprefix(folder.name)
    return file.stem.startswith(folder.name) and re.fullmatch(r"(-[0-9a-f]{6})?", rest) is not None
