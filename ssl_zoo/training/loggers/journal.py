"""The figures that a record was given, in the run directory: a line of JSON for each time."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ssl_zoo.files.writing import synchronize

__all__ = ["Journal", "last_steps"]

Row = tuple[int, dict[str, float]]  # a step and its figures


class Journal:
    """Appends rows to a file; what a killed process left half written is cut off.

    Args:
        file: where it is; its folder exists.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with contextlib.suppress(FileNotFoundError):
            written = file.read_bytes()
            if (whole := written.rfind(b"\n") + 1) < len(written):
                os.truncate(file, whole)

    def append(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds a row, which survives the end of this process."""
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps([step, figures]) + "\n")

    def synchronize(self) -> None:
        """Waits until the disk has the file."""
        if self.file.is_file():
            synchronize(self.file)

    def __iter__(self) -> Iterator[Row]:
        """Reads the rows."""
        if self.file.is_file():
            with self.file.open(encoding="utf-8") as lines:
                for line in lines:
                    step, figures = json.loads(line)
                    yield step, figures


def last_steps(rows: Iterator[Row] | Journal) -> dict[str, int]:
    """Returns the last step of each figure."""
    last: dict[str, int] = {}
    for step, figures in rows:
        for name in figures:
            last[name] = max(step, last.get(name, -1))
    return last
