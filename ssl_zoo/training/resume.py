"""Which run directory to write to, and which checkpoint to continue from."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.config.compose import to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.locks import hold, is_empty
from ssl_zoo.runs.checkpoints import LAST, PREVIOUS, STAMP, Damaged, Position, read
from ssl_zoo.runs.continuation import differences
from ssl_zoo.training.optim import peak_lr, schedule_factor

__all__ = [
    "Saved",
    "check_checkpoint",
    "check_run_dir",
    "choose_run_dir",
    "find_checkpoint",
]


class Saved(NamedTuple):
    """A checkpoint to continue from."""

    path: Path
    position: Position
    images: int  # that it was trained on
    epochs: int  # that it was to have
    instead_of: str | None = None  # why a later one was passed over


class DamagedCheckpoint(UserError):
    """A checkpoint that cannot be read; `problem` is the message without its advice."""

    def __init__(self, path: Path, reason: str) -> None:
        self.problem = (
            f"resume needs a checkpoint that ssl-zoo saved; '{path}' cannot be read as one ({reason})"
        )
        super().__init__(f"{self.problem}; name another, or start anew without resume")


def choose_run_dir(config: RunConfig) -> Path:
    """The directory of this run; nothing is created.

    Raises:
        UserError: it holds files already, and `resume` does not continue just that run; it cannot be written.
    """
    if config.run_dir is not None:
        folder = Path(config.run_dir).expanduser()
        check_run_dir(config, folder)
        return folder
    if config.resume == "auto":
        raise UserError("resume=auto continues the run in run_dir, which is not set; set run_dir=FOLDER")
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    folder = Path("runs") / f"{now}-{config.data.name}-{config.method.name}-s{config.seed}"
    return next(place for place in _numbered(folder) if not place.exists())


def _numbered(folder: Path) -> Iterator[Path]:
    """The folder and, for runs that begin in the same second, others by its name."""
    yield folder
    for number in itertools.count(2):
        yield folder.with_name(f"{folder.name}-{number}")


def check_run_dir(config: RunConfig, folder: Path) -> None:
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
    own = config.resume == "auto" or (
        config.resume is not None
        and folder.resolve() in (Path(config.resume).expanduser() / "x").resolve().parents
    )
    if not own:
        with hold(folder):  # a run that is under way there is named, and not advised to be continued
            raise UserError(
                f"run_dir must be new or empty; '{folder}' holds files already; choose another, or continue the run "
                "in it with resume=auto"
            )


def find_checkpoint(config: RunConfig, run_dir: Path) -> Saved | None:
    """The checkpoint to continue from: none for a new run, also with `resume=auto` and none saved yet.

    With `resume=auto`, or a run directory, a damaged last checkpoint gives way to the one before it.

    Raises:
        UserError: there is none where one was named, none of them can be read, or it is of another run.
    """
    if config.resume is None:
        return None
    named = run_dir if config.resume == "auto" else Path(config.resume).expanduser()
    if named.is_file():
        return check_checkpoint(named, config)
    there = [file for name in (LAST, PREVIOUS) if (file := named / "checkpoints" / name).is_file()]
    if not there and config.resume == "auto":
        return None
    if not there:
        raise UserError(
            f"resume takes auto, a run directory or a checkpoint; received '{named}', which "
            f"{'holds no checkpoint' if named.is_dir() else 'does not exist'}"
        )
    try:
        return check_checkpoint(there[0], config)
    except DamagedCheckpoint as error:
        if len(there) == 1:
            raise
        saved = check_checkpoint(there[1], config)
        return saved._replace(instead_of=error.problem)


def check_checkpoint(path: Path, config: RunConfig) -> Saved:
    """Checks that a checkpoint is whole and of this run, without unpickling any code.

    Raises:
        UserError: it cannot be read (DamagedCheckpoint), or it is of another method or configuration.
    """
    try:
        stamp = read(path)[STAMP]
        saved: dict[str, Any] = stamp["config"]
        name, epochs = saved["method"]["name"], int(saved["epochs"])
        position, images = Position(*map(int, stamp["position"])), int(stamp["images"])
    except (Damaged, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, Damaged) else "it is none of ours"
        raise DamagedCheckpoint(path, reason) from error
    if name != config.method.name:
        raise UserError(
            f"resume needs a checkpoint of the same method; '{path}' is of method '{name}', and the run is of "
            f"'{config.method.name}'; say method={name} or name another checkpoint"
        )
    if differing := differences(saved, to_mapping(config)):
        listed = ", ".join(f"{key}={old}" for key, old, _ in differing)
        raise UserError(
            f"resume continues a run as it was begun; '{path}' was begun with {listed}; say the same, or start anew in "
            "another run_dir"
        )
    trained = position.epoch + (position.batch > 0)
    if config.epochs < trained:
        raise UserError(
            f"epochs must be at least what a run has trained already, {trained} in '{path}'; received {config.epochs}; "
            f"set epochs={trained} or more, or leave it out"
        )
    return Saved(path, position, images, epochs)


def stretched(config: RunConfig, saved: Saved | None) -> str | None:
    """Says what another number of epochs than the run was begun with does to its schedule; None: the same number."""
    if saved is None or saved.epochs == config.epochs:
        return None
    batch = config.batch_size * config.trainer.accumulate
    rates = (
        peak_lr(config.optimizer, batch)
        * schedule_factor(
            config.optimizer, saved.position.epoch, batch=batch, total_steps=epochs, steps_per_epoch=1
        )
        for epochs in (saved.epochs, config.epochs)
    )
    before, now = (f"{rate:.3g}" for rate in rates)
    return (
        f"epochs was {saved.epochs} and is {config.epochs}: from here on the schedules are those of {config.epochs} "
        f"epochs, and the learning rate continues with {now} where it was {before}; a run of {config.epochs} epochs "
        "from the beginning would give other weights"
    )
