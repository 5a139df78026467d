"""All logged figures in one CSV of the run directory, those of steps too."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import loggers as lightning

from ssl_zoo.files.writing import atomic_file

__all__ = ["CsvFile"]

FLUSH = 100  # logged rows after which the file is written, as by Lightning


class CsvFile(lightning.Logger):
    """Writes a row for each step, with a column for each figure.

    Lightning's CSVLogger deletes what an earlier start wrote.

    Args:
        file: where to write.
        step: optimizer steps done; what was written of later ones by a start that was killed is left out.
    """

    def __init__(self, file: Path, step: int = 0) -> None:
        super().__init__()
        self.file, self.step = file, step
        self._rows: dict[int, dict[str, float | str]] | None = None
        self._unsaved = 0

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.file.name

    @property
    def version(self) -> str:
        """Empty: a run has one file."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds figures to the row of a step."""
        if self._rows is None:
            self._rows = _earlier_rows(self.file, self.step)
        self._rows.setdefault(step or 0, {}).update(metrics)
        self._unsaved += 1
        if self._unsaved >= FLUSH:
            self.save()

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the configuration is in config.yaml."""

    def save(self) -> None:
        """Writes the file, whole."""
        if self._rows is None or not self._unsaved:
            return
        names = dict.fromkeys(name for row in self._rows.values() for name in row)
        self.file.parent.mkdir(exist_ok=True)
        with atomic_file(self.file) as fresh, fresh.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, ("step", *names))
            writer.writeheader()
            writer.writerows({"step": step, **row} for step, row in sorted(self._rows.items()))
        self._unsaved = 0

    def finalize(self, status: str) -> None:
        """Writes the file, however the training has ended."""
        self.save()


def _earlier_rows(file: Path, step: int) -> dict[int, dict[str, float | str]]:
    """Reads the rows up to a step; figures stay the text that they are."""
    if not file.is_file():
        return {}
    with file.open(newline="", encoding="utf-8") as lines:
        rows = {int(row.pop("step")): row for row in csv.DictReader(lines)}
    return {number: {k: v for k, v in row.items() if v} for number, row in rows.items() if number <= step}
