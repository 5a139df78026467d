"""Judges a claim by the runs: it holds, fails or stays undecided, by all seeds and never by one run.

A comparison is judged by the 95 % interval of the difference d of the means, see `statistics.welch`:

| claim           | holds                            | fails                          |
|-----------------|----------------------------------|--------------------------------|
| a > b + bound   | all of the interval > bound      | all of it <= bound             |
| a < b + bound   | all of the interval < bound      | all of it >= bound             |
| a ~ b within m  | all of d - bound in [-m, m]      | all of it outside              |
| a is VERDICT    | all seeds have it                | no seed has it                 |

and is undecided otherwise. So `>` fails where all values are equal. `is not` swaps the last line.

Against several rows a claim holds if it holds against each, which needs no correction for their number [0],
and fails if it fails against one, uncorrected: of ten others that are all equal to a row, one may beat it by chance.

- [0] Berger, 1982, Multiparameter hypothesis testing and acceptance sampling
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping

from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.suites.claims import Claim, Comparison, VerdictClaim
from ssl_zoo.suites.record import ClaimRecord, RowRecord, RunRecord
from ssl_zoo.suites.statistics import CONFIDENCE, ROUNDING, Interval, welch

__all__ = ["judge_claim", "measured"]

DIVERGED = "diverged"
STATES = ("fails", "undecided", "holds")  # the first of them that a part has is that of the whole


def judge_claim(claim: Claim, rows: Mapping[str, RowRecord]) -> ClaimRecord:
    """Judges a claim by the runs of its rows.

    Args:
        claim: as `parse` returns it.
        rows: by name; a row that was left out of this run is missing, and claims on it are undecided.
    """
    if isinstance(claim, VerdictClaim):
        return _verdict(claim, rows)
    if not claim.each:
        return _compare(claim, claim.others[0] if claim.others else None, rows)
    judged = [_compare(claim, other, rows) for other in claim.others if other in rows or len(rows) < 2]
    # the record that decides is shown, and of several that with the least to spare
    shown = min(judged, key=lambda record: (STATES.index(record.state), _spare(claim, record)))
    return dataclasses.replace(shown, why=f"{shown.why[:-1]}; {_tally(judged)}.")


def _verdict(claim: VerdictClaim, rows: Mapping[str, RowRecord]) -> ClaimRecord:
    row = rows.get(claim.row)
    if row is None or not row.runs:
        return ClaimRecord(claim.text, "undecided", f"{claim.row} was not run.")
    counts = Counter(row.verdicts)
    seeds, having = counts.total(), sum(counts[verdict] for verdict in set(claim.verdicts))
    if seeds < 2:
        return _too_few(claim.text, row, seeds, "a result", _notes(row))
    state = "holds" if having == seeds else "fails" if having == 0 else "undecided"
    if claim.negated:
        state = {"holds": "fails", "fails": "holds"}.get(state, state)
        if counts[DIVERGED] and state == "holds" and DIVERGED not in claim.verdicts:
            state = "undecided"  # figures that are not finite decide nothing
    verdicts = ", ".join(
        f"{verdict} in {count} of {_count(seeds, 'seed')}" for verdict, count in counts.most_common()
    )
    return ClaimRecord(claim.text, state, _sentence([f"{row.name} is {verdicts}", *_notes(row)]))


def _compare(claim: Comparison, other: str | None, rows: Mapping[str, RowRecord]) -> ClaimRecord:
    """Judges a comparison with one row, or with a number."""
    text, metric = claim.text, claim.metric
    names = [claim.row] if other is None else [claim.row, other]
    if absent := [name for name in names if name not in rows or not rows[name].runs]:
        were = "was" if len(absent) == 1 else "were"
        return ClaimRecord(text, "undecided", f"{' and '.join(absent)} {were} not run.", metric=metric)
    sides = [rows[name] for name in names]
    if other is not None and _same_runs(sides[0], sides[1], rows):
        why = f"{' and '.join(names)} are the same runs on this data, so a comparison says nothing."
        return ClaimRecord(text, "undecided", why, metric=metric)
    values = [_values(side, metric) for side in sides]
    notes = [note for side in sides for note in _notes(side, metric)]
    for side, figures in zip(sides, values, strict=True):
        if len(figures) < 2:
            return dataclasses.replace(_too_few(text, side, len(figures), metric, notes), metric=metric)

    left, right = values[0], claim.bound if other is None else values[1]
    interval = welch(left, right)
    state, why = _state(claim, interval, statistics.mean(left)), _figures(claim, other, left, right, interval)
    return ClaimRecord(text, state, _sentence([why, *notes]), *interval, metric)


def _state(claim: Comparison, interval: Interval, left: float) -> str:
    """Returns the state by the table above."""
    offset = claim.bound if claim.others else 0.0
    slack = ROUNDING * (abs(left) + abs(interval.estimate) + abs(offset))
    low, high = interval.low - offset, interval.high - offset
    if claim.margin is not None:
        margin = claim.margin + slack
        if -margin <= low and high <= margin:
            return "holds"
        return "fails" if low > margin or high < -margin else "undecided"
    if claim.sign == "<":
        low, high = -high, -low
    return "holds" if low > slack else "fails" if high <= slack else "undecided"


def _spare(claim: Comparison, record: ClaimRecord) -> float:
    """Returns by how much the means are on the claim's side; minus infinity where there are none."""
    if record.estimate is None:
        return -math.inf
    distance = record.estimate - claim.bound
    return {">": distance, "<": -distance, "~": -abs(distance)}[claim.sign]


def _same_runs(left: RowRecord, right: RowRecord, rows: Mapping[str, RowRecord]) -> bool:
    """Whether two rows share runs; figures count beside the hash, as a run may be evaluated before its training too."""

    def origin(row: RowRecord) -> str:
        if row.same_as is None or row.same_as not in rows:
            return row.same_as or row.name
        return origin(rows[row.same_as])

    def evidence(row: RowRecord) -> list[tuple[str, dict[str, float]]]:
        return [(run.config_hash, run.values) for run in row.runs]

    return origin(left) == origin(right) or any(run in evidence(right) for run in evidence(left))


def measured(row: RowRecord, metric: str | None) -> list[RunRecord]:
    """Returns the finished runs that have the metric; without one, all finished runs."""
    return [run for run in row.runs if run.finished and (metric is None or _has(run, metric))]


def _values(row: RowRecord, metric: str) -> list[float]:
    return [run.values[metric] for run in measured(row, metric)]


def _has(run: RunRecord, metric: str) -> bool:
    value = run.values.get(metric)  # null in a file where it was not finite
    return value is not None and math.isfinite(value)


def _notes(row: RowRecord, metric: str | None = None) -> list[str]:
    """Returns notes on seeds without a result, and on those whose result lacks the metric."""
    failed = [run for run in row.runs if not run.finished and run.error is not None]
    waiting = [run for run in row.runs if not run.finished and run.error is None]
    without = [run for run in row.runs if metric and run.finished and not _has(run, metric)]
    reasons = sorted({"diverged" if run.verdict == "diverged" else "not measured" for run in without})
    return [
        f"{len(runs)} of {_count(len(row.runs), 'seed')} of {row.name} {what}"
        for runs, what in (
            (failed, "failed"),
            (waiting, f"{'has' if len(waiting) == 1 else 'have'} no result yet"),
            (without, f"{'has' if len(without) == 1 else 'have'} no {metric} ({' or '.join(reasons)})"),
        )
        if runs
    ]


def _too_few(text: str, row: RowRecord, seeds: int, what: str, notes: list[str]) -> ClaimRecord:
    have = f"no seed of {row.name} has {what}"
    if seeds == 1:
        have = f"only one seed of {row.name} has {what}, and one seed decides nothing"
    return ClaimRecord(text, "undecided", _sentence([have[0].upper() + have[1:], *notes]))


def _figures(
    claim: Comparison, other: str | None, left: list[float], right: list[float] | float, interval: Interval
) -> str:
    level, difference, points = (percent, _points, " points") if claim.is_fraction else (number, number, "")
    if isinstance(right, float):
        against, over = level(right), _count(len(left), "seed")
    else:
        against = level(statistics.mean(right)) + (f" of {other}" if claim.each else "")
        over = f"{len(left)} and {len(right)} seeds"
    estimate, low, high = (difference(value) for value in interval)
    equal = ", equal in all seeds" if interval.low == interval.high else ""
    margin = "" if claim.margin is None else f", for a margin of {difference(claim.margin)}{points}"
    return (
        f"{level(statistics.mean(left))} against {against}: a difference of {estimate}{points} "
        f"({100 * CONFIDENCE:g} % interval {low} to {high}) over {over}{equal}{margin}"
    )


def _points(fraction: float) -> str:
    """Writes a difference in points with one decimal, as accuracies have, unless that would be a rounded 0."""
    value = 100 * fraction
    return number(value, 1) if 0 < abs(value) < 0.05 else f"{value:.1f}".replace("-", "−")


def _tally(judged: list[ClaimRecord]) -> str:
    counts = Counter(record.state for record in judged)
    verbs = {"holds": "holds", "undecided": "is undecided", "fails": "fails"}
    parts = [f"{verb} against {counts[state]}" for state, verb in verbs.items() if counts[state]]
    return f"it {', '.join(parts)} of {_count(len(judged), 'other row')}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _sentence(parts: list[str]) -> str:
    return "; ".join(parts) + "."
