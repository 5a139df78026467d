"""A setting chosen for each row by itself, from equally many candidates, on a held-out part of the training images."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.suites.multiply import multiplied
from ssl_zoo.suites.plan import Planner, Row
from ssl_zoo.suites.record import RunRecord
from ssl_zoo.suites.schema import TuneConfig
from ssl_zoo.suites.trial import Trial

__all__ = ["Tuning", "plan_tuning"]

Record = Callable[[Trial], RunRecord]  # reads the result of a trial


@dataclass(frozen=True)
class Tuning:
    """The trials that choose a setting: for each row its candidates, each with a trial for each seed."""

    config: TuneConfig
    trials: dict[str, dict[float, tuple[Trial, ...]]]

    @property
    def all_trials(self) -> list[Trial]:
        """The trials of all rows."""
        return [
            trial for candidates in self.trials.values() for trials in candidates.values() for trial in trials
        ]

    def scores(self, record: Record, row: str) -> dict[float, float | None]:
        """Returns the mean of the metric for each candidate; None where a run has none."""
        scores = {}
        for value, trials in self.trials[row].items():
            values = [record(trial).values.get(self.config.metric) for trial in trials]
            known = [value for value in values if value is not None]
            scores[value] = statistics.mean(known) if len(known) == len(values) else None
        return scores

    def chosen(self, record: Record) -> dict[str, float]:
        """Returns the best candidate for each row, of equals the smallest; a row without any figure is left out."""
        best = {}
        for row in self.trials:
            scores = {value: score for value, score in self.scores(record, row).items() if score is not None}
            if scores:
                best[row] = max(sorted(scores), key=lambda value: scores[value])
        return best

    def sentences(self, record: Record, *, tried: bool) -> list[str]:
        """Returns a line for each row: what each candidate reached, and what was chosen.

        Args:
            record: of the results.
            tried: whether all candidates have been, before which nothing is chosen.
        """
        lines = []
        best = self.chosen(record) if tried else {}
        for row in self.trials:
            scores = self.scores(record, row)
            results = ", ".join(
                f"{value:g}: {'no result' if score is None else f'{100 * score:.1f} %'}"
                for value, score in scores.items()
            )
            if tried and row not in best:
                lines.append(
                    f"{row}: no trial of {self.config.key} gave a figure; the recipe's value is used."
                )
                continue
            if not tried:
                ending = "none is chosen before all have been tried."
            else:
                edge = best[row] in (min(scores), max(scores)) and len(scores) > 1
                ending = f"chosen {best[row]:g}" + (", at the edge of what was tried." if edge else ".")
            lines.append(
                f"{row}: {self.config.key} tuned by {self.config.metric} on a held-out {self.config.holdout:.0%} of "
                f"the training images, {self.config.seeds} seed(s) a candidate: {results}; {ending}"
            )
        return lines


def plan_tuning(config: TuneConfig, planner: Planner, rows: Sequence[Row]) -> Tuning:
    """Returns the trials of each candidate for each row.

    Raises:
        UserError: a candidate is no value that the key may have.
    """
    trials: dict[str, dict[float, tuple[Trial, ...]]] = {row.name: {} for row in rows}
    for factor in config.multipliers:
        overrides: Mapping[str, list[str]] = {
            row.name: multiplied(row.overrides, {config.key: factor}) for row in rows
        }
        for row in planner.rows(overrides, [f"data.holdout={config.holdout}"]):
            value = to_dotted(to_mapping(row.config))[config.key]
            trials[row.name][value] = tuple(row.trial(seed) for seed in range(config.seeds))
    return Tuning(config, trials)
