"""`ssl-zoo runs … do=resume`: runs that were interrupted go on, one after another, in this process."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ssl_zoo.config.overrides import write_override
from ssl_zoo.errors import Interrupted, ProcessLost, Unfinished, UserError, describe_os_error
from ssl_zoo.files.json_files import load_json
from ssl_zoo.files.locks import is_held
from ssl_zoo.run_dir.listed_run import ListedRun
from ssl_zoo.terminal.out_of_memory import out_of_memory_message

__all__ = ["resume_runs"]

STATES = ("interrupted", "failed")


class _Plan(NamedTuple):
    run: ListedRun
    base: Path  # the working directory in which the run was begun, from which its relative paths lead
    folder: Path  # the run directory, as named from there
    trials: tuple[Path, ...]  # what suites have it do


def resume_runs(runs: Sequence[ListedRun], note: Callable[[str], None]) -> None:
    """Continues the runs that were interrupted or failed, as `ssl-zoo train run_dir=DIR resume=auto` does.

    Each is continued in the working directory in which it was begun, as far as its `run_dir` gives that away. A run of
    a suite is continued by the suite's worker, which evaluates it as well.

    Args:
        runs: those of other states are left alone.
        note: prints a line.

    Raises:
        Unfinished: some could not go on; the others did.
        Interrupted: Ctrl-C; what was under way is saved.
    """
    plans = [_plan(run) for run in runs if run.state in STATES]
    others = len(runs) - len(plans)
    rest = f"; {others} of other states are left alone" if others else ""
    note(f"{len(plans)} of {len(runs)} runs to resume{rest}")
    for plan in plans:
        note(f"  {_in_words(plan)}")
    failures = 0
    for number, plan in enumerate(plans, 1):
        note(f"{number}/{len(plans)}: {plan.run.folder}")
        if is_held(plan.base / plan.folder):  # its suite's worker would wait for that process
            note(f"{plan.run.folder}: another process works on it by now; it is left alone")
            continue
        try:
            with _working_in(plan.base):
                _resume(plan)
        except Interrupted as stopped:
            text = f"{stopped}; {number - 1} of {len(plans)} runs are done, and the same command goes on"
            raise Interrupted(text, stopped.number) from None
        except Exception as error:  # of this run; the next may go on
            message = _message(error)
            if message is None:
                raise
            failures += 1
            note(f"{plan.run.folder}: {message}")
    if failures:
        raise Unfinished(f"{failures} of {len(plans)} runs could not go on; the others are done")


def _plan(run: ListedRun) -> _Plan:
    base = _begun_in(run)
    folder = Path(os.path.abspath(run.folder))
    trials = tuple(file for file in sorted(folder.parent.glob("*.trial")) if _is_of(file, folder))
    return _Plan(run, base, run.folder if base == Path.cwd() else folder.relative_to(base), trials)


def _begun_in(run: ListedRun) -> Path:
    """Returns the folder from which `run_dir` of the configuration leads to a run; if there is none, the current."""
    recorded, folder = Path(run.config.get("run_dir") or Path("runs", run.folder.name)), run.folder
    own, parts = recorded.parts, Path(os.path.abspath(folder)).parts
    if os.path.realpath(recorded) == os.path.realpath(folder) or recorded.is_absolute():
        return Path.cwd()
    return Path(*parts[: len(parts) - len(own)]) if parts[len(parts) - len(own) :] == own else Path.cwd()


def _in_words(plan: _Plan) -> str:
    epochs = f"epoch {plan.run.field('epoch')}/{plan.run.field('epochs')}"
    suite = "as its suite trains and evaluates it" if plan.trials else ""
    where = "" if plan.base == Path.cwd() else f"in {plan.base}"
    return ", ".join(filter(None, [f"{plan.run.folder}  {plan.run.state}, {epochs}", suite, where]))


def _resume(plan: _Plan) -> None:
    if not plan.trials:
        from ssl_zoo.training.run import train

        train([write_override("run_dir", str(plan.folder)), "resume=auto"])
        return
    from ssl_zoo.suites.worker import run_trial

    for file in plan.trials:
        run_trial({**load_json(file), "folder": str(plan.folder)})


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _message(error: Exception) -> str | None:
    """Describes an error that concerns one run; None for one about which a user can do nothing."""
    if isinstance(error, (UserError, ProcessLost, Unfinished)):
        return str(error)
    memory = out_of_memory_message(error, "train")
    return describe_os_error(error) if memory is None and isinstance(error, OSError) else memory


def _is_of(file: Path, folder: Path) -> bool:
    """Whether a suite has written the file about this run: NAME.trial, or with a mark of its evaluations."""
    rest = file.stem.removeprefix(folder.name)
    return file.stem.startswith(folder.name) and re.fullmatch(r"(-[0-9a-f]{6})?", rest) is not None
