"""The path of a run's last checkpoint. No torch is imported, so that a wrong `run=` is refused within a moment."""

from __future__ import annotations

import os
from pathlib import Path

from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path

__all__ = ["LAST", "checkpoint_of"]

LAST = "last.ckpt"  # in checkpoints/


def checkpoint_of(path: str | Path, key: str = "run") -> Path:
    """Returns the checkpoint that `key=PATH` names: the last of a run directory, or itself. It is not opened.

    Raises:
        UserError: there is none.
    """
    named = user_path(str(path), key)
    file = named / "checkpoints" / LAST if os.path.isdir(named) else named
    if not os.path.isfile(file):
        raise UserError(
            f"{key} takes a run directory or a checkpoint; received '{path}', which "
            f"{'holds no checkpoints/' + LAST if os.path.isdir(named) else 'does not exist'}; name a folder that "
            "ssl-zoo train has written"
        )
    return file
