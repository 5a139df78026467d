"""Progress of a suite: a bar on a terminal, a line for each run that has ended and each new round, and its ending."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType

from ssl_zoo.run_dir.metrics_csv import read_metrics
from ssl_zoo.suites.launch_local import Failure, Worker
from ssl_zoo.suites.options import FIRST_SEEDS, BenchConfig, SweepConfig
from ssl_zoo.suites.record import RunRecord
from ssl_zoo.suites.rounds import Rounds
from ssl_zoo.suites.time_limit import TimeLimit
from ssl_zoo.suites.trial import Trial
from ssl_zoo.terminal.progress import ProgressDisplay

__all__ = ["SuiteProgress", "sentence_on_stopped_tuning", "sentences_on_ending", "sentences_on_time_limit"]

REFRESH = 2.0  # seconds between readings of the runs' metrics


class SuiteProgress:
    """Progress and time left.

    Args:
        rounds: the suite's trials.
        limit: its time.
        workers: trials at a time.
        silent: print nothing.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, rounds: Rounds, limit: TimeLimit, workers: int, *, silent: bool, bar: bool) -> None:
        self.display = ProgressDisplay("run", rounds.total, rounds.ended, silent=silent, bar=bar)
        self.rounds, self.limit, self.workers = rounds, limit, workers
        self.refreshed = 0.0
        self.round = 1

    def __enter__(self) -> SuiteProgress:
        self.display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.display.stop()

    def update(self, workers: Sequence[Worker]) -> None:
        """Moves the bar by the epochs that the workers have done, every other second."""
        self._log_round()
        if time.monotonic() - self.refreshed < REFRESH:
            return
        self.refreshed = time.monotonic()
        self._show(sum(map(_fraction_done, workers)), f"{len(workers)} at work")

    def update_counts(self, running: int, waiting: int) -> None:
        """Shows how many trials run and wait, which is all that a cluster reports."""
        self._log_round()
        self._show(0.0, f"{running} at work, {waiting} waiting")

    def end(self, trial: Trial, record: RunRecord, failure: Failure | None) -> None:
        """Logs a trial that has ended."""
        done, total = self.rounds.ended, self.rounds.total
        outcome = f"failed: {failure.message}" if failure else _figures(record)
        expected, left, rest = self.limit.expected(trial.row), total - done, ""
        if expected is not None:
            rest = f" · {_minutes(expected * left / max(1, min(self.workers, left)))} left"
        self.display.log(f"{done}/{total} {trial.row}, seed {trial.config.seed}: {outcome}{rest}")

    def _log_round(self) -> None:
        if self.rounds.round != self.round:
            self.round = self.rounds.round
            self.display.log(f"{self.rounds.heading}{self._time_left()}")

    def _show(self, under_way: float, workers: str) -> None:
        rounds = self.rounds
        which = f"round {rounds.round}, " if rounds.round > 1 else ""
        self.display.update(rounds.ended + under_way, f"{which}{workers}{self._time_left()}", rounds.total)

    def _time_left(self) -> str:
        left = self.limit.left
        return "" if math.isinf(left) else f" · {_minutes(max(0.0, left))} of max_minutes left"


def _fraction_done(worker: Worker) -> float:
    if (trial := worker.trial) is None:
        return 0.0
    rows = read_metrics(worker.rows / trial.name)
    return rows[-1].get("epoch", 0.0) / trial.config.epochs if rows else 0.0


def _figures(record: RunRecord) -> str:
    shown = ("top1", "knn_top1")
    figures = [f"{name} {100 * record.values[name]:.1f}" for name in shown if name in record.values]
    return " · ".join([*figures, str(record.verdict)])


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def sentence_on_stopped_tuning(config: BenchConfig, tuning: Rounds) -> str:
    """Describes what the time limit left out, where it ended the suite before its rows."""
    return (
        f"max_minutes={config.max_minutes:g} ended the suite while it was tuning: {tuning.total - tuning.ended} of "
        f"{tuning.total} runs of candidates were not started, as they would probably have ended later, and no run of "
        "a row, as rows wait until all candidates have been tried; the same command goes on."
    )


def sentences_on_ending(config: BenchConfig, rounds: Rounds) -> list[str]:
    """Describes how many seeds rows have got and why they got no more."""
    sentences = list[str]()
    if config.seeds == "auto":
        numbers = {row: sum(map(rounds.has_ended, rounds.started(row))) for row in rounds.trials}
        sentences.append(
            f"seeds=auto: {FIRST_SEEDS} seeds for each row, then one at a time where an undecided claim needed it, "
            f"up to max_seeds={config.max_seeds}; {sum(numbers.values())} seeds of {len(numbers)} rows in "
            f"{rounds.round} round{'' if rounds.round == 1 else 's'}."
        )
        if rounds.limited:
            texts = "; ".join(" ".join(claim.text.split()) for claim in rounds.limited)
            sentences.append(f"max_seeds={config.max_seeds} left undecided: {texts}.")
    return [*sentences, *sentences_on_time_limit(config, rounds)]


def sentences_on_time_limit(config: BenchConfig | SweepConfig, rounds: Rounds) -> list[str]:
    """Describes how many runs the time limit has left out, if any."""
    if not rounds.stopped:
        return []
    what = "suite" if isinstance(config, BenchConfig) else "sweep"
    return [
        f"max_minutes={config.max_minutes:g} ended the {what}: {rounds.total - rounds.ended} run(s) were not "
        "started, as they would probably have ended later; the same command goes on."
    ]
