"""Checks of large tables, kept from one start to the next.

The header of each image is looked at before a run begins, for which large images are read nearly whole. The rows that
failed are kept in one file per table, which is found again while the Arrow files have the same paths, sizes and times.
They are checked again each time. A file that is damaged is as none; one that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

import PIL
import torch
from torch import Tensor

from ssl_zoo.data.cache import check_all
from ssl_zoo.data.table_split import TableReader
from ssl_zoo.files.folders import make_folder
from ssl_zoo.files.writing import write_file
from ssl_zoo.terminal.counting import note

__all__ = ["check_table"]

VERSION = 1
LEAST = 20_000  # images: fewer are checked in a moment
SETTLED = 2.0  # seconds: a file changed later than that may change again without a later time


def check_table(
    reader: TableReader, workers: int, positions: Tensor, *, whole: bool, store: Path
) -> dict[int, str]:
    """Returns the images at `positions`, (n,), that cannot be read, as `check_all` does or as was kept in `store`."""
    began = time.time()
    key, changed = _key(reader, whole)
    file = store / f"{key}.json"
    failed = _read(file, len(reader))
    if failed is not None:
        failing = torch.tensor(failed, dtype=torch.int64)
        note(f"checked before, by '{file}': {len(reader):,} images")
        return check_all(reader, workers, failing[torch.isin(failing, positions)], whole=whole)
    faults = check_all(reader, workers, positions, whole=whole)
    everything, settled = len(positions) == len(reader), changed <= began - SETTLED
    # What is not in the table, an image by its path, may change while the table does not.
    if (
        everything
        and settled
        and len(reader) >= LEAST
        and (reader.column.lengths(reader.rows.numpy()) > 0).all()
    ):
        with contextlib.suppress(OSError):
            make_folder(store)
            write_file(file, json.dumps({"images": len(reader), "failed": sorted(faults)}))
    return faults


def _key(reader: TableReader, whole: bool) -> tuple[str, float]:
    """Returns sixteen hex digits of all that decides what a check finds, and when the table was changed last."""
    files = [file for part in reader.column.parts for file in part.files]
    states = [(file, os.stat(file)) for file in files]
    how = (VERSION, PIL.__version__, reader.column.column, reader.channels, reader.bit_depth, whole)
    sha = hashlib.sha256(repr((how, [(f, s.st_size, s.st_mtime_ns) for f, s in states])).encode())
    sha.update(reader.rows.numpy().tobytes())
    return sha.hexdigest()[:16], max(state.st_mtime for _, state in states)


def _read(file: Path, images: int) -> list[int] | None:
    """Returns the positions that failed, where a file is whole and of so many images."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        failed = [int(position) for position in kept["failed"]]
        return failed if kept["images"] == images and all(0 <= each < images for each in failed) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
