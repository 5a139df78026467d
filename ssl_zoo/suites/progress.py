"""What a person sees while a suite runs: a table that grows on a terminal, a line for each run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ssl_zoo.runs.run_files import metrics
from ssl_zoo.suites.launch_local import Failure, Running
from ssl_zoo.suites.plan import Job
from ssl_zoo.suites.record import RunRecord
from ssl_zoo.terminal.console import Console

__all__ = ["Board"]

MARKS = {"waiting": "·", "done": "✓", "failed": "✕"}
LOOK = 2.0  # seconds between looks at the runs' metrics


class Board:
    """Progress and time left.

    Args:
        console: where to.
        jobs: of each row.
        done: records of the runs that were done before, by name.
        workers: runs at a time.
        bar: whether a terminal gets a table that is drawn anew.
    """

    def __init__(
        self,
        console: Console,
        jobs: Mapping[str, Sequence[Job]],
        done: Mapping[str, RunRecord],
        workers: int,
        *,
        bar: bool = True,
    ) -> None:
        self.console, self.jobs, self.workers = console, jobs, workers
        self.records = dict(done)
        self.failed: dict[str, Failure] = {}
        self.shares: dict[str, float] = {}  # of the epochs that a run under way has done
        self.ages: dict[str, float] = {}  # seconds
        self.costs: list[float] = []  # seconds of the runs that ended here
        self.total = len({job.name for group in jobs.values() for job in group})
        self.looked = 0.0
        self.live = Live(console=console, auto_refresh=False) if bar and console.is_terminal else None

    def __enter__(self) -> Board:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            self.live.stop()

    def watch(self, running: Sequence[Running], waiting: Sequence[Job]) -> None:
        """Looks at what runs, every other second."""
        if time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        self.shares = {one.job.name: _share(one.job, one.folder) for one in running}
        self.ages = {one.job.name: time.monotonic() - one.started for one in running}
        if self.live is not None:
            self.live.update(self._table(), refresh=True)

    def counted(self, running: int, waiting: int, ended: int) -> None:
        """For a cluster, which knows numbers only."""
        if self.live is not None:
            self.live.update(Text(f"{running} run, {waiting} wait, {ended} have ended"), refresh=True)

    def ended(self, job: Job, record: RunRecord, failure: Failure | None, seconds: float | None) -> None:
        """Notes a run that has ended."""
        self.shares.pop(job.name, None)
        self.ages.pop(job.name, None)
        if failure is None:
            self.records[job.name] = record
            if seconds is not None:
                self.costs.append(seconds)
        else:
            self.failed[job.name] = failure
        if self.live is not None:
            return
        said = f"failed: {failure.message}" if failure else _figures(record)
        count = len(self.records) + len(self.failed)
        left = self._left()
        rest = "" if left is None else f" · {_minutes(left)} left"
        line = f"{count}/{self.total} {job.row}, seed {job.config.seed}: {said}{rest}"
        self.console.print(line)

    def _left(self) -> float | None:
        """Seconds left, by what the runs so far have taken."""
        open_ = self.total - len(self.records) - len(self.failed)
        guesses = [
            age / share for name, age in self.ages.items() if (share := self.shares.get(name, 0)) > 0.05
        ]
        known = self.costs or guesses
        if not known:
            return None
        each = sum(known) / len(known)
        under_way = sum(max(0.0, each - age) for age in self.ages.values())
        return (each * max(0, open_ - len(self.ages)) + under_way) / max(1, min(self.workers, open_))

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("row", "seeds", "so far"):
            table.add_column(column)
        for row, jobs in self.jobs.items():
            cells, known = [], []
            for job in jobs:
                if job.name in self.records:
                    cells.append(MARKS["done"])
                    known.append(self.records[job.name])
                elif job.name in self.failed:
                    cells.append(MARKS["failed"])
                else:
                    share = self.shares.get(job.name)
                    cells.append(MARKS["waiting"] if share is None else f"{share:.0%}")
            table.add_row(row, " ".join(cells), _figures(known[-1]) if known else "")
        left = self._left()
        foot = f"{len(self.records)} of {self.total} runs done"
        foot += f", {len(self.failed)} failed" if self.failed else ""
        foot += "" if left is None else f", about {_minutes(left)} left"
        return Group(table, Text(foot, style="dim"))


def _share(job: Job, folder: Path) -> float:
    rows = metrics(folder)
    return rows[-1].get("epoch", 0.0) / job.config.epochs if rows else 0.0


def _figures(record: RunRecord) -> str:
    shown = [f"{name} {100 * record.values[name]:.1f}" for name in ("top1", "knn") if name in record.values]
    return " · ".join([*shown, str(record.verdict)])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
