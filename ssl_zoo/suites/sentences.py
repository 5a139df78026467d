"""The sentences of claims: figures, seeds without a result, and what would decide an undecided one."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.suites.claims import Comparison
from ssl_zoo.suites.outcomes import MOST
from ssl_zoo.suites.record import ClaimRecord, RowRecord, RunRecord
from ssl_zoo.suites.statistics import Interval

__all__ = ["count_of", "figures", "forecast", "has_metric", "notes", "sentence", "tally", "too_few"]

VERBS = {
    "holds": "holds",
    "no difference": "shows no difference",
    "undecided": "is undecided",
    "fails": "fails",
}


def figures(
    claim: Comparison,
    left: Sequence[float],
    right: Sequence[float] | float,
    interval: Interval,
    level: float,
    state: str,
) -> str:
    """Writes both means, their difference and its interval."""
    points = " points" if claim.is_fraction else ""
    mean = percent if claim.is_fraction else number
    if isinstance(right, float):
        against, over = mean(right), count_of(len(left), "seed")
    else:
        against = mean(statistics.mean(right)) + (f" of {claim.others[0]}" if claim.each else "")
        over = f"{len(left)} and {len(right)} seeds"
    estimate, low, high = (_difference(claim, value) for value in interval)
    equal = _equal(left, right)
    margin = "" if claim.margin is None else f", for a margin of {_difference(claim, claim.margin)}{points}"
    matters = ""
    if state == "no difference" and claim.smallest is not None:
        bound = claim.bound if claim.others else 0.0
        of_bound = f" of the {_difference(claim, bound)}{points} claimed" if bound else ""
        matters = f", all of it within the {_difference(claim, claim.smallest)}{points} that matter{of_bound}"
    return (
        f"{mean(statistics.mean(left))} against {against}: a difference of {estimate}{points} "
        f"({100 * level:.4g} % interval {low} to {high}) over {over}{equal}{margin}{matters}"
    )


def _equal(left: Sequence[float], right: Sequence[float] | float) -> str:
    sides = [left] if isinstance(right, float) else [left, right]
    return ", equal in all seeds" if all(len(set(side)) == 1 for side in sides) else ""


def _difference(claim: Comparison, value: float) -> str:
    """Writes a difference; of accuracies in points with one decimal, as they have, unless that would be a rounded 0."""
    if not claim.is_fraction:
        return number(value)
    points = 100 * value
    return number(points, 1) if 0 < abs(points) < 0.05 else f"{points:.1f}".replace("-", "−")


def forecast(more: Mapping[str, int] | None, minutes: float | None) -> str:
    """Writes how many seeds more of each row would probably decide a claim; None: more than are thought of."""
    if more is None:
        return f"more than {MOST} seeds would be needed to decide it"
    groups: dict[int, list[str]] = {}
    for row, seeds in more.items():
        groups.setdefault(seeds, []).append(row)
    needed = ", ".join(f"{count_of(seeds, 'more seed')} {_of(names)}" for seeds, names in groups.items())
    took = "" if minutes is None else f" ({_minutes(minutes)} of runs)"
    return f"{needed}{took} would probably decide it"


def _of(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"of {names[0]}"
    return f"each of {' and '.join(names)}" if len(names) == 2 else f"of each of {len(names)} rows"


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:,.0f} {'minute' if round(minutes) == 1 else 'minutes'}"


def notes(row: RowRecord, metric: str | None = None) -> list[str]:
    """Returns notes on seeds without a result, and on those whose result lacks the metric."""
    failed = [run for run in row.runs if not run.finished and run.error is not None]
    waiting = [run for run in row.runs if not run.finished and run.error is None]
    without = [run for run in row.runs if metric and run.finished and not has_metric(run, metric)]
    reasons = sorted({"diverged" if run.verdict == "diverged" else "not measured" for run in without})
    return [
        f"{len(runs)} of {count_of(len(row.runs), 'seed')} of {row.name} {what}"
        for runs, what in (
            (failed, "failed"),
            (waiting, f"{'has' if len(waiting) == 1 else 'have'} no result yet"),
            (without, f"{'has' if len(without) == 1 else 'have'} no {metric} ({' or '.join(reasons)})"),
        )
        if runs
    ]


def has_metric(run: RunRecord, metric: str) -> bool:
    """Whether the run has a finite value of the metric."""
    value = run.values.get(metric)  # null in a file where it was not finite
    return value is not None and math.isfinite(value)


def too_few(row: RowRecord, seeds: int, what: str) -> str:
    """Writes that no seed or only one has a figure."""
    if seeds == 1:
        return f"Only one seed of {row.name} has {what}, and one seed decides nothing"
    return f"No seed of {row.name} has {what}"


def tally(judged: Sequence[ClaimRecord]) -> str:
    """Counts the outcomes of a claim against several rows."""
    counts = Counter(record.state for record in judged)
    parts = [f"{verb} against {counts[state]}" for state, verb in VERBS.items() if counts[state]]
    return f"it {', '.join(parts)} of {count_of(len(judged), 'other row')}"


def count_of(count: int, what: str) -> str:
    """Writes a number of things: 1 seed, 2 seeds."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def sentence(parts: Sequence[str]) -> str:
    """Joins parts into a sentence."""
    return "; ".join(parts) + "."
