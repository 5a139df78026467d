"""The errors that suites have recorded of their runs."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from ssl_zoo.files.json_files import load_json
from ssl_zoo.run_dir.find import SUITE

__all__ = ["SuiteErrors"]


class SuiteErrors:
    """Messages of failed runs by run directory; a suite's record is read only when some run has no result."""

    def __init__(self) -> None:
        self.suites: list[Path] = []

    def add(self, suite: Path) -> None:
        """Adds the folder of a suite."""
        self.suites.append(suite)

    def of(self, folder: Path) -> str | None:
        """Returns the message of a run that failed."""
        return self._messages.get(os.path.abspath(folder))

    @cached_property
    def _messages(self) -> dict[str, str]:
        messages = {}
        for suite in self.suites:
            try:
                runs = [run for row in load_json(suite / SUITE)["rows"] for run in row["runs"]]
                failed = {run["folder"]: str(run["error"]) for run in runs if run["error"]}
            except (OSError, ValueError, LookupError, TypeError):
                continue
            messages.update({os.path.abspath(suite / name): message for name, message in failed.items()})
        return messages
