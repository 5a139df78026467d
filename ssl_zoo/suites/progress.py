"""Progress of a suite: a bar of its runs on a terminal, and a line for each run that has ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from types import TracebackType

from ssl_zoo.runs.run_files import read_metrics
from ssl_zoo.suites.launch_local import Failure, Worker
from ssl_zoo.suites.record import RunRecord
from ssl_zoo.suites.trial import Trial
from ssl_zoo.terminal.progress import ProgressDisplay

__all__ = ["SuiteProgress"]

REFRESH = 2.0  # seconds between readings of the runs' metrics


class SuiteProgress:
    """Progress and time left.

    Args:
        total: trials of the suite, those of one run counted once.
        done: trials that were done before.
        workers: trials at a time.
        silent: print nothing.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, total: int, done: int, workers: int, *, silent: bool, bar: bool) -> None:
        self.display = ProgressDisplay("run", total, done, silent=silent, bar=bar)
        self.total, self.done, self.workers = total, done, workers
        self.seconds: list[float] = []  # of the trials that ended here
        self.refreshed = 0.0

    def __enter__(self) -> SuiteProgress:
        self.display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.display.stop()

    def update(self, workers: Sequence[Worker]) -> None:
        """Moves the bar by the epochs that the workers have done, every other second."""
        if time.monotonic() - self.refreshed < REFRESH:
            return
        self.refreshed = time.monotonic()
        self.display.update(self.done + sum(map(_fraction_done, workers)), f"{len(workers)} at work")

    def update_counts(self, running: int, waiting: int) -> None:
        """Shows how many trials run and wait, which is all that a cluster reports."""
        self.display.update(self.done, f"{running} at work, {waiting} waiting")

    def end(self, trial: Trial, record: RunRecord, failure: Failure | None, seconds: float | None) -> None:
        """Logs a trial that has ended."""
        self.done += 1
        if failure is None and seconds is not None:
            self.seconds.append(seconds)
        outcome = f"failed: {failure.message}" if failure else _figures(record)
        rest, left = "", self.total - self.done
        if self.seconds:
            rest = f" · {_minutes(fmean(self.seconds) * left / max(1, min(self.workers, left)))} left"
        self.display.log(f"{self.done}/{self.total} {trial.row}, seed {trial.config.seed}: {outcome}{rest}")


def _fraction_done(worker: Worker) -> float:
    rows = read_metrics(worker.folder)
    return rows[-1].get("epoch", 0.0) / worker.trial.config.epochs if rows else 0.0


def _figures(record: RunRecord) -> str:
    shown = ("top1", "knn_top1")
    figures = [f"{name} {100 * record.values[name]:.1f}" for name in shown if name in record.values]
    return " · ".join([*figures, str(record.verdict)])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
