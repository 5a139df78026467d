"""A run's checkpoints on disk: the last one and the one before it, each whole or absent.

A file is read without unpickling any code, and only if every byte is as it was written: torch stores a CRC-32
of each part of the file, which `torch.load` itself does not look at.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ssl_zoo.files.writing import atomic_file
from ssl_zoo.run_dir.paths import LAST

__all__ = [
    "LAST",
    "PREVIOUS",
    "STAMP",
    "CheckpointFiles",
    "Damaged",
    "Position",
    "read_checkpoint",
    "set_aside",
]

STAMP = "ssl_zoo"  # the key in a checkpoint under which a run leaves its configuration
PREVIOUS, SAVING, DAMAGED = "previous.ckpt", "saving.ckpt", "damaged.ckpt"


class Position(NamedTuple):
    """Position at which a checkpoint was saved: epochs done, and batches done of the next."""

    epoch: int
    batch: int


class Damaged(Exception):
    """A file is no whole checkpoint; the message says why, in a few words."""


class CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint for Lightning, which would hold it in memory twice and leave half of it on a full disk."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Saves a checkpoint as the last one, and renames the last one to the previous one.

        A kill between the two renames leaves no `last.ckpt`, but the
        one before it, which is then taken.

        Raises:
            OSError: it cannot be written; the last checkpoint is as it was.
        """
        last = Path(path)
        last.parent.mkdir(exist_ok=True)
        with atomic_file(last, temporary=SAVING) as fresh:
            with fresh.open("wb") as file:
                torch.save(checkpoint, file)
            if last.is_file():
                os.replace(last, last.with_name(PREVIOUS))


def set_aside(folder: Path) -> None:
    """Takes a damaged last checkpoint out of the way, so that the next one does not make it the previous one."""
    os.replace(folder / LAST, folder / DAMAGED)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Returns the contents of a checkpoint: tensors and plain values.

    Raises:
        Damaged: it is cut off, altered, no checkpoint at all, or would run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            altered = archive.testzip()
        if altered is not None:
            raise Damaged(f"'{altered}' in it is not as it was written")
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Damaged:
        raise
    except pickle.UnpicklingError as error:
        raise Damaged("UnpicklingError: it would run code, which is refused, or holds no weights") from error
    except Exception as error:  # whatever a file that is no checkpoint makes of it
        raise Damaged(type(error).__name__) from error
    if not isinstance(contents, dict):
        raise Damaged("it holds no run")
    return contents
