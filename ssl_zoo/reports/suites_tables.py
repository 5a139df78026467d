"""Tables of a comparison of suites, and a picture of the differences in top-1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ssl_zoo.pages.charts import IntervalRow, intervals
from ssl_zoo.pages.drawing import Picture, chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number
from ssl_zoo.pages.page import Cell, Table
from ssl_zoo.reports.suites_changes import EQUAL, Change, Side, is_accuracy
from ssl_zoo.reports.suites_diff import NONE, ComparedSuite
from ssl_zoo.suites.aggregate import Aggregate, heading, is_fraction

__all__ = ["metrics_of", "picture_of", "table_by_metric", "table_of"]


def picture_of(suites: Sequence[ComparedSuite], changes: Sequence[Change]) -> Picture | None:
    """Draws the differences of top1, one line each; hollow where none was found."""
    known = [
        change
        for change in changes
        if change.metric == "top1" and (change.p is not None or change.state in EQUAL)
    ]
    if not known:
        return None
    several = len(suites) > 2
    names = [f"{change.row} ({change.after.suite})" if several else change.row for change in known]
    rows = [
        IntervalRow(
            label,
            100 * (change.difference or 0),
            100 * (change.low or 0),
            100 * (change.high or 0),
            not change.changed,
        )
        for label, change in zip(drawable(names, "row"), known, strict=True)
    ]
    intervals_of = "; ".join(
        f"{name} {_difference(change)}{_interval(change, ' (', ')')}"
        for name, change in zip(names, known, strict=True)
    )
    left_out = sum(change.metric == "top1" for change in changes) - len(known)
    caption = "Hollow: no difference found, or the same values."
    if left_out:
        caption += f" Left out for too few seeds: {left_out}."
    return chart(
        "differences",
        intervals("Difference in top-1, points", rows, zero=True),
        alt=f"Difference in top-1 in points of percent with 95 % intervals: {intervals_of}.",
        caption=caption,
        size=(5.2, 0.9 + 0.22 * len(rows)),
    )


def metrics_of(changes: Sequence[Change]) -> list[str]:
    """Returns the metrics that are compared."""
    return list(dict.fromkeys(change.metric for change in changes))


def table_by_metric(changes: Sequence[Change]) -> Table:
    """Counts the comparisons of each metric by their outcome."""
    states = list(
        dict.fromkeys(change.state for change in sorted(changes, key=lambda change: not change.changed))
    )
    rows = []
    for metric in metrics_of(changes):
        same_metric = [change for change in changes if change.metric == metric]
        counts = Counter(change.state for change in same_metric)
        corrected = (
            str(sum(change.changed_corrected for change in same_metric)) if is_accuracy(metric) else NONE
        )
        rows.append(
            (heading(metric), str(len(same_metric)), corrected, *(str(counts[state]) for state in states))
        )
    header = ("figure", "compared", "changed, Holm-corrected", *states)
    return Table(
        header, rows, "Comparisons by figure and outcome, by the uncorrected interval unless stated."
    )


def table_of(metric: str, changes: Sequence[Change]) -> Table:
    """Tabulates all comparisons of a metric."""
    same_metric = [change for change in changes if change.metric == metric]
    pairs = list(dict.fromkeys((change.before.suite, change.after.suite) for change in same_metric))
    tested = is_accuracy(metric)
    suites = pairs[0] if len(pairs) == 1 else ("suites", "before", "after")
    header = ("row", "outcome", *suites, "difference", "95 % interval", *(("p", "p by Holm") * tested))
    rows = []
    for change in same_metric:
        pair = () if len(pairs) == 1 else (Cell(f"{change.before.suite} → {change.after.suite}", left=True),)
        p = (Cell(number(value, 2), value) for value in (change.p, change.corrected)) if tested else ()
        sides = (_side(side, metric) for side in (change.before, change.after))
        difference = Cell(_difference(change), change.difference), Cell(_interval(change) or NONE, change.low)
        rows.append((change.row, _state(change), *pair, *sides, *difference, *p))
    caption = f"{heading(metric)}: mean ± standard deviation (seeds)"
    caption += "; the difference and its interval are in points of percent." if is_fraction(metric) else "."
    if any(change.changed_corrected for change in same_metric):
        caption += " *: also after Holm's correction."
    return Table(header, rows, caption, sortable=True)


def _state(change: Change) -> Cell:
    return Cell(f"{change.state}*" if change.changed_corrected else change.state, change.state, left=True)


def _side(side: Side, metric: str) -> Cell:
    seeds = f" ({len(side.values)})" if side.values else ""
    return Cell(f"{Aggregate(metric, tuple(side.values.values()))}{seeds}", side.mean)


def _difference(change: Change) -> str:
    return NONE if change.difference is None else _signed(change.difference, is_fraction(change.metric))


def _interval(change: Change, left: str = "", right: str = "") -> str:
    if change.low is None or change.high is None:
        return ""
    fraction = is_fraction(change.metric)
    return f"{left}{_signed(change.low, fraction)} to {_signed(change.high, fraction)}{right}"


def _signed(value: float, fraction: bool) -> str:
    text = f"{100 * value:.2f}".replace("-", "−") if fraction else number(value)
    return f"+{text}" if value > 0 else text
