"""Aggregates of a metric over seeds: mean, standard deviation, and how they are written."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.pages.numbers import number, percent

if TYPE_CHECKING:
    from ssl_zoo.suites.record import RowRecord, RunRecord, SuiteRecord

__all__ = [
    "Aggregate",
    "aggregate_of",
    "aggregate_over",
    "distinct_runs",
    "heading",
    "is_fraction",
    "unit_of",
]


@dataclass(frozen=True)
class Aggregate:
    """A metric over seeds: the values that are finite numbers, in the order of the runs."""

    metric: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """The mean; None where there is no value."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def std(self) -> float | None:
        """The standard deviation, with n - 1; None for fewer than two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        if self.mean is None:
            return "–"
        if is_fraction(self.metric):
            return percent(self.mean, self.std)
        if unit_of(self.metric) == "setting":  # a mean of it says nothing
            return ", ".join(f"{value:g}" for value in sorted(set(self.values)))
        if unit_of(self.metric) == "count":
            return f"{self.mean:,.0f}"
        if self.std is None:
            return number(self.mean)
        return _with_spread(self.mean, self.std)


def aggregate_of(row: RowRecord, metric: str) -> Aggregate:
    """Aggregates a metric over the finished seeds of a row."""
    return aggregate_over([run for run in row.runs if run.finished], metric)


def aggregate_over(runs: Sequence[RunRecord], metric: str) -> Aggregate:
    """Aggregates a metric over runs; null in the record, or no finite number, was not measured."""
    values = [run.values.get(metric) for run in runs]
    return Aggregate(metric, tuple(value for value in values if value is not None and math.isfinite(value)))


def distinct_runs(record: SuiteRecord) -> list[RunRecord]:
    """Returns the finished runs, those that several rows share once; of two, the one with more figures."""
    runs = [run for row in record.rows for run in row.runs if run.finished]
    runs.sort(key=lambda run: len(run.values))  # a row of untrained encoders has few
    return list({(run.config_hash, run.folder): run for run in runs}.values())


def heading(metric: str) -> str:
    """Returns the heading of a column: the title of a metric, or the name of a protocol."""
    known = declared(SUITE).get(metric)
    return metric if known is None else known.title


def is_fraction(metric: str) -> bool:
    """Whether it is an accuracy, a fraction of 1."""
    return unit_of(metric) == "fraction"


def unit_of(metric: str) -> str:
    """Returns the unit of a metric; another name is a protocol's, whose top-1 is a fraction."""
    known = declared(SUITE).get(metric)
    return "fraction" if known is None else known.unit


def _with_spread(mean: float, std: float) -> str:
    """Writes both with the same decimals: three digits of the mean, or fewer where the std has only two of them."""
    left, right = number(mean), number(std, 2)
    if "e" in left or std >= 1e5:
        return f"{left} ± {right}"
    decimals = _decimals(left) if "e" in right or not std else min(_decimals(left), _decimals(right))
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}".replace("-", "−")


def _decimals(figure: str) -> int:
    return len(figure.partition(".")[2])
