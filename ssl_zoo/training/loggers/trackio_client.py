"""trackio's local database, TRACKIO_DIR: `trackio show` shows it, `trackio sync` sends it to a Space.

The package has no logger of Lightning, hence this one. trackio writes from a thread of its own, twice a second, and
only warns where it cannot. So it is asked what it has, when a record goes on and when it ends.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.training.loggers.client import Identity, Settings

__all__ = ["Trackio"]


class Trackio:
    """A run of trackio. See `client.Client`."""

    name = "trackio"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.identity: Identity = {}
        self.run: Any = None
        self._last_step = -1  # of what was logged since the record was opened

    def open(self, known: Identity | None) -> Identity:
        """Begins or goes on. trackio knows a run by its name alone, so that the name must be one of its kind."""
        mark = uuid.uuid4().hex[:6]
        self.identity = known or {
            "project": self.settings.logging.project,
            "name": f"{self.settings.name}-{mark}",
        }
        import trackio

        self.run = trackio.init(
            **self.identity,
            group=self.settings.logging.group,
            config=self.settings.values,
            resume="must" if known else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return self.identity

    def _rows(self) -> list[dict[str, Any]]:
        from trackio.sqlite_storage import SQLiteStorage

        rows: list[dict[str, Any]] = SQLiteStorage.get_logs(self.identity["project"], self.identity["name"])
        return rows

    def stored(self) -> dict[str, int] | None:
        """Returns the last step of each figure, as the database has it; None: the thread may be writing."""
        return None if self._last_step >= 0 else self._last_steps()

    def _last_steps(self) -> dict[str, int]:
        last: dict[str, int] = {}
        for row in self._rows():
            for name in row.keys() - {"step", "timestamp"}:
                last[name] = max(row["step"], last.get(name, -1))
        return last

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Queues figures."""
        self.run.log(dict(figures), step=step)
        self._last_step = max(self._last_step, step)

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> None:
        """Adds the texts as a row, and attaches all files to the run."""
        import trackio

        stored = self._last_steps()
        if new := {name: text for name, text in texts.items() if stored.get(name, -1) < step}:
            self.run.log(new, step=step)
            self._last_step = max(self._last_step, step)
        kinds = [(file, "result") for file in files] + ([(weights, "model")] if weights else [])
        for path, kind in kinds:
            name = re.sub(
                r"[^A-Za-z0-9._-]+", "-", f"{self.identity['name']}-{path.stem}"
            )  # all that it takes
            trackio.log_artifact(path, name=name, type=kind)

    def close(self, failed: bool) -> None:
        """Ends the run, when the database has all figures.

        Raises:
            OSError: it has not: trackio itself only warns of that.
        """
        import trackio

        trackio.finish()
        if max((row["step"] for row in self._rows()), default=-1) < self._last_step:
            raise OSError(f"trackio did not write the figures of step {self._last_step}")
