"""What suites have recorded of their runs: the rows that they are, and why one failed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_zoo.files.json_files import load_json
from ssl_zoo.run_dir.find import SUITE

__all__ = ["SuiteNotes"]


class SuiteNotes:
    """Notes by run directory: `suite` and `row`, lists of names, and `error`. Records are read when first asked for."""

    def __init__(self) -> None:
        self.suites: list[Path] = []

    def add(self, suite: Path) -> None:
        """Adds the folder of a suite."""
        self.suites.append(suite)

    def of(self, folder: Path) -> Mapping[str, Any]:
        """Returns the notes on a run; nothing where no suite has it."""
        return self._notes.get(os.path.abspath(folder), {})

    @cached_property
    def _notes(self) -> dict[str, dict[str, Any]]:
        notes: dict[str, dict[str, Any]] = {}
        for suite in self.suites:
            try:
                record = load_json(suite / SUITE)
                runs = [(str(row["name"]), run) for row in record["rows"] for run in row["runs"]]
                found = [(str(suite / run["folder"]), row, run.get("error")) for row, run in runs]
                name = str(record["name"])
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
            for folder, row, error in found:
                note = notes.setdefault(os.path.abspath(folder), {"suite": [], "row": [], "error": None})
                note["suite"] = [*dict.fromkeys([*note["suite"], name])]
                note["row"] = [*dict.fromkeys([*note["row"], row])]
                note["error"] = note["error"] or error
        return notes
