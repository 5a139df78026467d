"""Changes between suites: rows matched by name, each figure with Welch's interval, the accuracies with Holm's
correction.

- [0] The generalization of 'Student's' problem, B. L. Welch, 1947, https://doi.org/10.1093/biomet/34.1-2.28
- [1] A simple sequentially rejective multiple test procedure, S. Holm, 1979, https://www.jstor.org/stable/4615733
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.reports.suites_diff import ComparedSuite, shared_rows
from ssl_zoo.suites.aggregate import unit_of
from ssl_zoo.suites.record import RowRecord, RunRecord
from ssl_zoo.suites.statistics import holm, p_value, welch

__all__ = [
    "ALPHA",
    "EQUAL",
    "Change",
    "ChangeCounts",
    "Side",
    "compare_suites",
    "count_changes",
    "is_accuracy",
]

ALPHA = 0.05
ROSE, FELL, NOT_FOUND = "rose", "fell", "no difference found"
ONE_SEED, NOT_MEASURED = "one seed", "not measured"
SAME_RUNS, REPRODUCED, SAME_VALUES = "the same runs", "reproduced to the last digit", "the same values"
EQUAL = (SAME_RUNS, REPRODUCED, SAME_VALUES)


@dataclass(frozen=True)
class Side:
    """A figure of a row in one suite."""

    suite: str  # label
    values: dict[int, float]  # by seed; finite
    runs: tuple[tuple[str, str], ...]  # of these seeds: folder, resolved, and hash of the configuration

    @property
    def mean(self) -> float | None:
        """The mean over the seeds."""
        return mean(self.values.values()) if self.values else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation over the seeds; None of a single one."""
        return stdev(self.values.values()) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Change:
    """A figure of a row in two suites, and whether it changed by more than noise."""

    row: str
    metric: str
    before: Side
    after: Side
    state: str
    difference: float | None = None  # after minus before
    low: float | None = None  # 95 % interval of the difference
    high: float | None = None
    p: float | None = None  # of Welch's test
    corrected: float | None = None  # p by Holm, over the accuracies of the whole comparison

    @property
    def changed(self) -> bool:
        """Whether the interval of this comparison alone excludes 0."""
        return self.state in (ROSE, FELL)

    @property
    def changed_corrected(self) -> bool:
        """Whether the change remains after Holm's correction."""
        return self.corrected is not None and self.corrected < ALPHA

    @property
    def common(self) -> int:
        """The number of seeds with the same configuration and the same value on both sides: no independent evidence."""
        hashes = dict(zip(self.before.values, self.before.runs, strict=True))
        return sum(
            seed in hashes and hashes[seed][1] == run[1] and self.before.values[seed] == value
            for (seed, value), run in zip(self.after.values.items(), self.after.runs, strict=True)
        )


@dataclass(frozen=True)
class ChangeCounts:
    """Number of shared rows that changed in an accuracy."""

    rows: int
    corrected: int  # by more than noise, after Holm's correction
    uncorrected: int  # by the interval of a comparison alone, those above included
    equal: int  # the same runs, or the same values
    one_seed: int  # cannot be decided
    tests: int  # comparisons that the correction is for


def is_accuracy(name: str) -> bool:
    """Whether a figure says how good a trained encoder is; what isn't declared is a protocol's top-1."""
    known = declared(SUITE).get(name)
    return known is None or (known.is_fraction and known.better is not None)


def compare_suites(suites: Sequence[ComparedSuite]) -> list[Change]:
    """Compares every shared row and figure with the first suite that has it.

    Args:
        suites: two or more.

    Returns:
        By row, then by metric, then by suite. Metrics are top1 and the columns that both suites have.
    """
    changes = []
    for name in shared_rows(suites):
        having = [(suite, row) for suite in suites if (row := suite.row(name)) is not None]
        first, reference = having[0]
        for metric in dict.fromkeys(("top1", *first.record.columns)):
            for other, row in having[1:]:
                sides = _side(first, reference, metric), _side(other, row, metric)
                shared = metric in ("top1", *other.record.columns) and unit_of(metric) != "setting"
                if shared and (sides[0].values or sides[1].values):
                    changes.append(_move(name, metric, *sides))
    return _correct(changes)


def count_changes(changes: Sequence[Change]) -> ChangeCounts:
    """Counts rows by their accuracies; with more than two suites a row changed where it did in any of them."""
    rows: dict[str, list[Change]] = {change.row: [] for change in changes}
    for change in changes:
        if is_accuracy(change.metric):
            rows[change.row].append(change)
    groups = [group for group in rows.values() if group]
    return ChangeCounts(
        rows=len(groups),
        corrected=sum(any(change.changed_corrected for change in group) for group in groups),
        uncorrected=sum(any(change.changed for change in group) for group in groups),
        equal=sum(all(change.state in EQUAL for change in group) for group in groups),
        one_seed=sum(
            all(change.p is None for change in group) and any(change.state not in EQUAL for change in group)
            for group in groups
        ),
        tests=len({_evidence(change) for change in changes if change.corrected is not None}),
    )


def _side(suite: ComparedSuite, row: RowRecord, metric: str) -> Side:
    runs: dict[int, tuple[RunRecord, float]] = {}
    for run in row.runs:
        value = run.values.get(metric)
        if value is not None and math.isfinite(value):  # a diverged run's figures are null in the file
            runs[run.seed] = run, float(value)
    return Side(
        suite.label,
        {seed: value for seed, (_, value) in runs.items()},
        tuple((str((suite.folder / run.folder).resolve()), run.config_hash) for run, _ in runs.values()),
    )


def _move(row: str, metric: str, before: Side, after: Side) -> Change:
    change = Change(row, metric, before, after, NOT_MEASURED)
    if before.mean is None or after.mean is None:
        return change
    change = replace(change, difference=after.mean - before.mean)
    if before.values == after.values:
        return replace(change, state=_equal(before, after))
    if before.std is None or after.std is None:
        return replace(change, state=ONE_SEED)
    a, b = list(after.values.values()), list(before.values.values())
    interval = welch(a, b)
    state = ROSE if interval.low > 0 else FELL if interval.high < 0 else NOT_FOUND
    p = float(interval.estimate == 0)  # where neither side varies, as with an interval of the width 0
    if interval.low < interval.high:
        p = p_value(a, b)
    return replace(
        change, state=state, difference=interval.estimate, low=interval.low, high=interval.high, p=p
    )


def _correct(changes: Sequence[Change]) -> list[Change]:
    """Adds Holm's p to the accuracies. The same runs and values under two names are one comparison."""
    tested = {
        _evidence(change): change.p
        for change in changes
        if change.p is not None and is_accuracy(change.metric)
    }
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        replace(change, corrected=corrected[_evidence(change)])
        if change.p is not None and is_accuracy(change.metric)
        else change
        for change in changes
    ]


def _evidence(change: Change) -> tuple[object, ...]:
    """Returns the runs and values behind a comparison: two rows may share runs, and top1 may be the linear probe."""
    return tuple((side.runs, tuple(side.values.items())) for side in (change.before, change.after))


def _equal(before: Side, after: Side) -> str:
    """Returns why all values are equal, seed by seed."""
    ours, theirs = (dict(zip(side.values, side.runs, strict=True)) for side in (before, after))
    if ours == theirs:
        return SAME_RUNS
    return REPRODUCED if all(ours[seed][1] == theirs[seed][1] for seed in ours) else SAME_VALUES
