"""A setting chosen for each row by itself, with equally many trials, on a held-out part of the training images."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import to_mapping
from ssl_zoo.suites.collect import run_record
from ssl_zoo.suites.plan import Job, Planner, Row, multiplied
from ssl_zoo.suites.schema import TuneConfig

__all__ = ["Tuning", "trials"]


@dataclass(frozen=True)
class Tuning:
    """The trials of a suite: for each row its candidates, each with its jobs."""

    config: TuneConfig
    jobs: dict[str, dict[float, tuple[Job, ...]]]

    @property
    def all_jobs(self) -> list[Job]:
        """Those of all rows."""
        return [job for candidates in self.jobs.values() for jobs in candidates.values() for job in jobs]

    def scores(self, runs: Path, row: str) -> dict[float, float | None]:
        """The mean of the metric for each candidate; None where a run has none."""
        found = {}
        for value, jobs in self.jobs[row].items():
            values = [run_record(job, runs, runs).values.get(self.config.metric) for job in jobs]
            known = [value for value in values if value is not None]
            found[value] = statistics.mean(known) if len(known) == len(values) else None
        return found

    def chosen(self, runs: Path) -> dict[str, float]:
        """For each row the best candidate, of equals the smallest; a row without any figure is left out."""
        best = {}
        for row in self.jobs:
            scores = {value: score for value, score in self.scores(runs, row).items() if score is not None}
            if scores:
                best[row] = max(sorted(scores), key=lambda value: scores[value])
        return best

    def in_words(self, runs: Path) -> list[str]:
        """A line for each row: what each candidate reached, and what was chosen."""
        lines = []
        best = self.chosen(runs)
        for row in self.jobs:
            scores = self.scores(runs, row)
            told = ", ".join(
                f"{value:g}: {'no result' if score is None else f'{100 * score:.1f} %'}"
                for value, score in scores.items()
            )
            if row not in best:
                lines.append(
                    f"{row}: no trial of {self.config.key} gave a figure; the recipe's value is used."
                )
                continue
            edge = row in best and best[row] in (min(scores), max(scores)) and len(scores) > 1
            lines.append(
                f"{row}: {self.config.key} tuned by {self.config.metric} on a held-out {self.config.holdout:.0%} of "
                f"the training images, {self.config.seeds} seed(s) a candidate: {told}; chosen "
                f"{best.get(row, float('nan')):g}" + (", at the edge of what was tried." if edge else ".")
            )
        return lines


def trials(config: TuneConfig, planner: Planner, rows: Sequence[Row]) -> Tuning:
    """The jobs that try each candidate for each row.

    Raises:
        UserError: a candidate is no value that the key may have.
    """
    jobs: dict[str, dict[float, tuple[Job, ...]]] = {row.name: {} for row in rows}
    for factor in config.multipliers:
        overrides: Mapping[str, list[str]] = {
            row.name: multiplied(row.overrides, {config.key: factor}) for row in rows
        }
        for row in planner.rows(overrides, [f"data.holdout={config.holdout}"]):
            value: Any = to_mapping(row.config)
            for part in config.key.split("."):
                value = value[part]
            jobs[row.name][value] = tuple(row.job(seed) for seed in range(config.seeds))
    return Tuning(config, jobs)
