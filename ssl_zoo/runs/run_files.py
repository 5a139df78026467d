"""What a run has written beside its checkpoints: metrics.csv, result.json, eval-*.json, environment.json."""

from __future__ import annotations

import csv
import math
import os
import shlex
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path
from ssl_zoo.files.records import read_record

__all__ = [
    "LAST",
    "Row",
    "checkpoint_of",
    "column",
    "command",
    "environment",
    "evaluations",
    "metrics",
    "read_record",
]

LAST = "last.ckpt"  # in checkpoints/
Row = dict[str, float]  # of metrics.csv: what was measured


def checkpoint_of(path: str | Path) -> Path:
    """The checkpoint that `run=PATH` names: the last one of a run directory, or itself. It is not opened.

    Raises:
        UserError: there is none.
    """
    named = user_path(str(path), "run")
    file = named / "checkpoints" / LAST if os.path.isdir(named) else named
    if not os.path.isfile(file):
        raise UserError(
            f"run takes a run directory or a checkpoint; received '{path}', which "
            f"{'holds no checkpoints/' + LAST if os.path.isdir(named) else 'does not exist'}; name a folder that "
            "ssl-zoo train has written"
        )
    return file


def metrics(folder: Path) -> list[Row]:
    """The rows of metrics.csv, figures that were measured only; none where there is no such file."""
    try:
        with (folder / "metrics.csv").open(newline="") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def column(rows: list[Row], name: str) -> tuple[list[float], list[float]]:
    """Epochs, and the values of a column where it was measured."""
    pairs = [(row["epoch"], row[name]) for row in rows if name in row and "epoch" in row]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The records of eval-*.json, by name; one that cannot be read is `{"file", "error"}`."""
    found = []
    for file in sorted(folder.glob("eval-*.json")):
        record = read_record(file)
        found.append({"error": "cannot be read"} if record is None else record)
        found[-1]["file"] = file.name
    return found


def environment(folder: Path) -> dict[str, Any]:
    """environment.json, or nothing."""
    return read_record(folder / "environment.json") or {}


def command(surroundings: dict[str, Any]) -> str | None:
    """The words that began the run, as they are typed; None for one that was begun from Python."""
    overrides = surroundings.get("command")
    if not isinstance(overrides, list) or overrides[1:2] != ["train"]:
        return None
    return shlex.join(["ssl-zoo", *map(str, overrides[1:])])


def _numbers(row: dict[str, Any]) -> Row:
    numbers = {}
    for name, text in row.items():
        try:
            numbers[name] = float(text)
        except (TypeError, ValueError):
            continue
    if not math.isfinite(numbers.get("epoch", 0.0)):
        del numbers["epoch"]
    return numbers
