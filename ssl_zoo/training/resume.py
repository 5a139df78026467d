"""The checkpoint that a run continues from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.checkpoints import LAST, PREVIOUS, STAMP, Damaged, Position, read_checkpoint
from ssl_zoo.run_dir.continuation import forbidden_changes
from ssl_zoo.training.optim import peak_lr, schedule_factor

__all__ = ["Saved", "check_checkpoint", "find_checkpoint", "schedule_change"]


class Saved(NamedTuple):
    """A checkpoint to continue from."""

    path: Path
    position: Position
    images: int  # that it was trained on
    epochs: int  # that it was to have
    stamp: Mapping[str, Any]  # what the run wrote into it
    instead_of: str | None = None  # why the last checkpoint was passed over


class DamagedCheckpoint(UserError):
    """A checkpoint that cannot be read; `problem` is the message without its advice."""

    def __init__(self, path: Path, reason: str) -> None:
        self.problem = (
            f"resume needs a checkpoint that ssl-zoo saved; '{path}' cannot be read as one ({reason})"
        )
        super().__init__(f"{self.problem}; name another, or start anew without resume")


def find_checkpoint(config: RunConfig, run_dir: Path) -> Saved | None:
    """Returns the checkpoint to continue from: None for a new run, also with `resume=auto` and none saved yet.

    With `resume=auto`, or a run directory, a damaged last checkpoint gives way to the one before it.

    Raises:
        UserError: there is none where one was named, none of them can be read, or it is of another run.
    """
    if config.resume is None:
        return None
    named = run_dir if config.resume == "auto" else Path(config.resume).expanduser()
    if named.is_file():
        return check_checkpoint(named, config)
    checkpoints = [file for name in (LAST, PREVIOUS) if (file := named / "checkpoints" / name).is_file()]
    if not checkpoints and config.resume == "auto":
        return None
    if not checkpoints:
        raise UserError(
            f"resume takes auto, a run directory or a checkpoint; received '{named}', which "
            f"{'holds no checkpoint' if named.is_dir() else 'does not exist'}"
        )
    try:
        return check_checkpoint(checkpoints[0], config)
    except DamagedCheckpoint as error:
        if len(checkpoints) == 1:
            raise
        saved = check_checkpoint(checkpoints[1], config)
        return saved._replace(instead_of=error.problem)


def check_checkpoint(path: Path, config: RunConfig) -> Saved:
    """Checks that a checkpoint is whole and of this run, without unpickling any code.

    Raises:
        UserError: it cannot be read (DamagedCheckpoint), or it is of another method or configuration.
    """
    try:
        stamp = read_checkpoint(path)[STAMP]
        saved: dict[str, Any] = stamp["config"]
        saved.setdefault("start_from", None)  # unknown to the version that saved it
        name, epochs = saved["method"]["name"], int(saved["epochs"])
        position, images = Position(*map(int, stamp["position"])), int(stamp["images"])
    except (Damaged, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, Damaged) else "it is none of ours"
        raise DamagedCheckpoint(path, reason) from error
    if name != config.method.name:
        raise UserError(
            f"resume needs a checkpoint of the same method; '{path}' is of method '{name}', and the run is of "
            f"'{config.method.name}'; set method={name} or name another checkpoint"
        )
    if differing := forbidden_changes(saved, to_mapping(config)):
        listed = ", ".join(f"{key}={old}" for key, old, _ in differing)
        raise UserError(
            f"resume continues a run as it was begun; '{path}' was begun with {listed}; set the same, or start anew in "
            "another run_dir"
        )
    trained = position.epoch + (position.batch > 0)
    if config.epochs < trained:
        raise UserError(
            f"epochs must be at least what a run has trained already, {trained} in '{path}'; received {config.epochs}; "
            f"set epochs={trained} or more, or leave it out"
        )
    return Saved(path, position, images, epochs, stamp)


def schedule_change(config: RunConfig, saved: Saved | None) -> str | None:
    """Describes how another number of epochs than the run began with changes its schedule; None: the same number."""
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
