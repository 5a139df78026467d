"""The records of a suite's runs: what is done stays done, so each run is read until it is, and then no more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ssl_zoo.suites.record import RunRecord
from ssl_zoo.suites.trial import Trial, is_done, run_record

__all__ = ["Results"]


class Results:
    """Reads run directories.

    Args:
        runs: the folder of the run directories.
        folder: the suite's, to which paths in the records are relative.

    Attributes:
        errors: messages of the trials that failed, by name.
    """

    def __init__(self, runs: Path, folder: Path) -> None:
        self.runs, self.folder = runs, folder
        self.errors: dict[str, str] = {}
        self._done: dict[tuple[object, ...], RunRecord] = {}

    def is_done(self, trial: Trial) -> bool:
        """Whether a trial has a result, its cost, and a record of each evaluation."""
        key = _key(trial)
        if key not in self._done and is_done(trial, self.runs / trial.name):
            self._done[key] = run_record(trial, self.runs, self.folder)
        return key in self._done

    def record(self, trial: Trial) -> RunRecord:
        """Returns the record of a trial, done or not."""
        if self.is_done(trial):
            return self._done[_key(trial)]
        return run_record(trial, self.runs, self.folder, self.error(trial))

    def error(self, trial: Trial) -> str | None:
        """Returns why a trial has no result: its own message, or that of the one that it begins with."""
        before = None if trial.start is None else self.error(trial.start)
        if trial.start is not None and before is not None:
            return f"it begins with {trial.start.row}, seed {trial.start.config.seed}, which failed: {before}"
        return self.errors.get(trial.name)

    def unread(self, trial: Trial) -> RunRecord:
        """Returns the record of a trial that waits, without what another suite knows of the same run."""
        return dataclasses.replace(self.record(trial), values={}, verdict=None, commit=None)


def _key(trial: Trial) -> tuple[object, ...]:
    """Returns what two trials with the same record share: rows may share a run, and their commands differ."""
    return trial.name, trial.overrides, trial.evaluations, trial.weights
