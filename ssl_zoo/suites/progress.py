"""Progress of a suite: a table that grows on a terminal, a line for each run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ssl_zoo.runs.run_files import read_metrics
from ssl_zoo.suites.launch_local import Failure, Worker
from ssl_zoo.suites.record import RunRecord
from ssl_zoo.suites.trial import Trial
from ssl_zoo.terminal.console import Console

__all__ = ["SuiteProgress"]

MARKS = {"waiting": "·", "done": "✓", "failed": "✕"}
REFRESH = 2.0  # seconds between readings of the runs' metrics


class SuiteProgress:
    """Progress and time left.

    Args:
        console: where it is printed.
        trials: of each row.
        done: records of the trials that were done before, by name.
        workers: trials at a time.
        bar: whether a terminal gets a table that is drawn anew.
    """

    def __init__(
        self,
        console: Console,
        trials: Mapping[str, Sequence[Trial]],
        done: Mapping[str, RunRecord],
        workers: int,
        *,
        bar: bool = True,
    ) -> None:
        self.console, self.trials, self.workers = console, trials, workers
        self.records = dict(done)
        self.failed: dict[str, Failure] = {}
        self.fractions: dict[str, float] = {}  # of the epochs, for each trial under way
        self.ages: dict[str, float] = {}  # seconds since a trial under way began
        self.costs: list[float] = []  # seconds of the runs that ended here
        self.total = len({trial.name for group in trials.values() for trial in group})
        self.refreshed = 0.0
        self.live = Live(console=console, auto_refresh=False) if bar and console.is_terminal else None

    def __enter__(self) -> SuiteProgress:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            self.live.stop()

    def update(self, workers: Sequence[Worker]) -> None:
        """Reads how far the workers are, every other second."""
        if time.monotonic() - self.refreshed < REFRESH:
            return
        self.refreshed = time.monotonic()
        self.fractions = {w.trial.name: _fraction_done(w.trial, w.folder) for w in workers}
        self.ages = {w.trial.name: time.monotonic() - w.started for w in workers}
        if self.live is not None:
            self.live.update(self._table(), refresh=True)

    def update_counts(self, running: int, waiting: int, ended: int) -> None:
        """Shows how many trials run, wait and have ended, which is all that a cluster reports."""
        if self.live is not None:
            self.live.update(Text(f"{running} run, {waiting} wait, {ended} have ended"), refresh=True)

    def end(self, trial: Trial, record: RunRecord, failure: Failure | None, seconds: float | None) -> None:
        """Records a trial that has ended."""
        self.fractions.pop(trial.name, None)
        self.ages.pop(trial.name, None)
        if failure is None:
            self.records[trial.name] = record
            if seconds is not None:
                self.costs.append(seconds)
        else:
            self.failed[trial.name] = failure
        if self.live is not None:
            return
        outcome = f"failed: {failure.message}" if failure else _figures(record)
        count = len(self.records) + len(self.failed)
        left = self._left()
        rest = "" if left is None else f" · {_minutes(left)} left"
        line = f"{count}/{self.total} {trial.row}, seed {trial.config.seed}: {outcome}{rest}"
        self.console.print(line)

    def _left(self) -> float | None:
        """Estimates the seconds left by what the trials so far have taken."""
        unfinished = self.total - len(self.records) - len(self.failed)
        guesses = [
            age / done for name, age in self.ages.items() if (done := self.fractions.get(name, 0)) > 0.05
        ]
        known = self.costs or guesses
        if not known:
            return None
        each = sum(known) / len(known)
        under_way = sum(max(0.0, each - age) for age in self.ages.values())
        return (each * max(0, unfinished - len(self.ages)) + under_way) / max(
            1, min(self.workers, unfinished)
        )

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("row", "seeds", "so far"):
            table.add_column(column)
        for row, trials in self.trials.items():
            cells, known = [], []
            for trial in trials:
                if trial.name in self.records:
                    cells.append(MARKS["done"])
                    known.append(self.records[trial.name])
                elif trial.name in self.failed:
                    cells.append(MARKS["failed"])
                else:
                    fraction = self.fractions.get(trial.name)
                    cells.append(MARKS["waiting"] if fraction is None else f"{fraction:.0%}")
            table.add_row(row, " ".join(cells), _figures(known[-1]) if known else "")
        left = self._left()
        foot = f"{len(self.records)} of {self.total} runs done"
        foot += f", {len(self.failed)} failed" if self.failed else ""
        foot += "" if left is None else f", about {_minutes(left)} left"
        return Group(table, Text(foot, style="dim"))


def _fraction_done(trial: Trial, folder: Path) -> float:
    rows = read_metrics(folder)
    return rows[-1].get("epoch", 0.0) / trial.config.epochs if rows else 0.0


def _figures(record: RunRecord) -> str:
    shown = [
        f"{name} {100 * record.values[name]:.1f}" for name in ("top1", "knn_top1") if name in record.values
    ]
    return " · ".join([*shown, str(record.verdict)])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
