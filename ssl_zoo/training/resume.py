"""Which run directory to write to, and which checkpoint to continue from."""

from __future__ import annotations

import datetime
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ssl_zoo.config import to_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.schema import RunConfig

__all__ = ["STAMP", "Position", "check_checkpoint", "choose_run_dir", "find_checkpoint"]

STAMP = "ssl_zoo"  # the key in a checkpoint under which a run leaves its configuration
# What may differ between a run and its continuation: where, how fast and how closely watched.
FREE = ("run_dir", "resume", "recipe", "experiment", "monitor", "trainer")


class Position(NamedTuple):
    """Where a checkpoint was saved: epochs done, and batches done of the next."""

    epoch: int
    batch: int


def choose_run_dir(config: RunConfig) -> Path:
    """The directory of this run; nothing is created.

    Raises:
        UserError: it holds a run already, and `resume` does not say to continue it; or it is a file.
    """
    if config.run_dir is None:
        now = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
        return Path("runs") / f"{now}-{config.data.name}-{config.method.name}-s{config.seed}"
    folder = Path(config.run_dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError(
            f"run_dir must be a folder; received '{folder}', which is a file; choose another name"
        )
    if config.resume is None and folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"run_dir must be new or empty; '{folder}' holds files already; choose another, or continue the run in "
            "it with resume=auto"
        )
    return folder


def find_checkpoint(config: RunConfig, run_dir: Path) -> Path | None:
    """The checkpoint to continue from: none for a new run, also with `resume=auto` and none saved yet."""
    if config.resume is None:
        return None
    if config.resume == "auto":
        last = run_dir / "checkpoints" / "last.ckpt"
        return last if last.is_file() else None
    path = Path(config.resume).expanduser()
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise UserError(
            f"resume takes auto, a run directory or a checkpoint; received '{path}', which does not exist"
        )
    return path


def check_checkpoint(path: Path, config: RunConfig) -> Position:
    """Checks that a checkpoint is of this run, without unpickling any code; returns where it stands.

    Raises:
        UserError: it cannot be read, or it is of another method or configuration.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        saved: dict[str, Any] = checkpoint[STAMP]["config"]
        position = Position(*checkpoint[STAMP]["position"])
    except (
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        OSError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise UserError(
            f"resume needs a checkpoint that ssl-zoo saved; '{path}' cannot be read as one "
            f"({type(error).__name__}); name another, or start anew without resume"
        ) from error
    name = saved["method"]["name"]
    if name != config.method.name:
        raise UserError(
            f"resume needs a checkpoint of the same method; '{path}' is of method '{name}', and the run is of "
            f"'{config.method.name}'; say method={name} or name another checkpoint"
        )
    wanted = to_mapping(config)
    differing = list(_differing({k: v for k, v in saved.items() if k not in FREE}, wanted, ""))
    if saved["trainer"]["accumulate"] != wanted["trainer"]["accumulate"]:
        differing.append(f"trainer.accumulate={saved['trainer']['accumulate']}")
    if differing:
        raise UserError(
            f"resume continues a run as it was begun; '{path}' was begun with {', '.join(differing)}; say the same, "
            "or start anew in another run_dir"
        )
    return position


def _differing(saved: Any, wanted: Any, path: str) -> list[str]:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        return [
            line
            for key, value in saved.items()
            for line in _differing(value, wanted.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if saved == wanted else [f"{path}={saved}"]
