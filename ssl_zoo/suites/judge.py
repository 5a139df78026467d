"""Judges a claim by the runs, by all seeds and never by one run.

A claim holds, fails, shows no difference, stays undecided or is not asked. Comparisons are judged as `outcomes` says.
Not asked is what these runs cannot say: a row was left out by the budget or the data, the two rows are the same runs
here, or no run has the metric, as an accuracy without labels.

A claim on verdicts is about all seeds: it holds if all have the verdict (`is not`: none), and one seed that has another
refutes it. It is decided by the first two seeds with a result; a diverged seed, whose figures are not finite, neither
confirms nor refutes `is not`, so that such a claim stays undecided where no other seed refutes it.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ssl_zoo.suites.claims import Claim, Comparison, VerdictClaim
from ssl_zoo.suites.outcomes import Evidence, outcome, seeds_to_decide
from ssl_zoo.suites.record import ClaimRecord, RowRecord, RunRecord
from ssl_zoo.suites.sentences import (
    count_of,
    figures,
    forecast,
    has_metric,
    notes,
    sentence,
    tally,
    too_few,
)
from ssl_zoo.suites.statistics import welch

__all__ = ["Part", "judge_claim", "judged_parts", "measured"]

DIVERGED = "diverged"
IMAGES = "test_images"
STATES = ("fails", "undecided", "no difference", "holds")  # the first that a part has is that of the whole


@dataclass(frozen=True)
class Part:
    """A comparison with one row, or with a number, judged.

    Attributes:
        claim: the comparison.
        record: its outcome.
        further: seeds of each row that would probably decide an undecided one; empty where that is not known, None:
            more than are thought of.
    """

    claim: Comparison
    record: ClaimRecord
    further: Mapping[str, int] | None = field(default_factory=dict)


def judge_claim(claim: Claim, rows: Mapping[str, RowRecord]) -> ClaimRecord:
    """Judges a claim by the runs of its rows.

    Args:
        claim: as `parse` returns it.
        rows: by name; a row that was left out of this run is missing.
    """
    if isinstance(claim, VerdictClaim):
        return _verdict(claim, rows)
    parts = judged_parts(claim, rows)
    asked = [part.record for part in parts if part.record.state != "not asked"]
    if claim.each and not asked:
        why = "None of the other rows was run, or all of them are the same runs on this data."
        return ClaimRecord(claim.text, "not asked", why, metric=claim.metric)
    if not asked:
        return parts[0].record
    # the record that decides is shown, and of several that with the least to spare
    shown = min(asked, key=lambda record: (STATES.index(record.state), _spare(claim, record)))
    if claim.each:
        shown = dataclasses.replace(shown, why=f"{shown.why[:-1]}; {tally(asked)}.")
    return _with_forecast(shown, parts, rows) if shown.state == "undecided" else shown


def judged_parts(claim: Comparison, rows: Mapping[str, RowRecord]) -> list[Part]:
    """Judges the comparisons with one row that a claim consists of; against `others`, those with rows of this run."""
    if not claim.each:
        return [_compare(claim, rows, 1)]
    others = [other for other in claim.others if other in rows]
    return [_compare(dataclasses.replace(claim, others=(other,)), rows, len(others)) for other in others]


def measured(row: RowRecord, metric: str | None) -> list[RunRecord]:
    """Returns the finished runs that have the metric; without one, all finished runs."""
    return [run for run in row.runs if run.finished and (metric is None or has_metric(run, metric))]


def _verdict(claim: VerdictClaim, rows: Mapping[str, RowRecord]) -> ClaimRecord:
    row = rows.get(claim.row)
    if row is None or not row.runs:
        return ClaimRecord(claim.text, "not asked", f"{claim.row} was not run.")
    counts = Counter(row.verdicts)
    seeds, having = counts.total(), sum(counts[verdict] for verdict in set(claim.verdicts))
    if seeds < 2:
        return ClaimRecord(claim.text, "undecided", sentence([too_few(row, seeds, "a result"), *notes(row)]))
    refuting = having if claim.negated else seeds - having
    state = "fails" if refuting else "holds"
    if claim.negated and state == "holds" and counts[DIVERGED]:
        state = "undecided"
    verdicts = ", ".join(
        f"{verdict} in {count} of {count_of(seeds, 'seed')}" for verdict, count in counts.most_common()
    )
    return ClaimRecord(claim.text, state, sentence([f"{row.name} is {verdicts}", *notes(row)]))


def _compare(claim: Comparison, rows: Mapping[str, RowRecord], others: int) -> Part:
    """Judges a comparison with one row, one of so many, or with a number."""
    record = ClaimRecord(claim.text, "not asked", "", metric=claim.metric)
    names = [claim.row, *claim.others]
    if reason := _not_asked(claim, names, rows):
        return Part(claim, dataclasses.replace(record, why=reason))
    sides = [rows[name] for name in names]
    runs = [measured(side, claim.metric) for side in sides]
    remarks = [note for side in sides for note in notes(side, claim.metric)]
    for side, having in zip(sides, runs, strict=True):
        if len(having) < 2:
            why = sentence([too_few(side, len(having), claim.metric), *remarks])
            return Part(claim, dataclasses.replace(record, state="undecided", why=why))

    values = [[run.values[claim.metric] for run in having] for having in runs]
    right = values[1] if claim.others else claim.bound
    deviation = _smallest_deviation(claim, runs)
    evidence = Evidence(
        left=statistics.mean(values[0]),
        estimate=welch(values[0], right).estimate,
        variances=[max(statistics.variance(side), deviation**2) for side in values],
        counts=[len(side) for side in values],
        others=others,
    )
    state, level = outcome(claim, evidence)
    interval = evidence.interval(level)
    why = sentence([figures(claim, values[0], right, interval, level, state), *remarks])
    record = ClaimRecord(claim.text, state, why, *interval, claim.metric)
    if state != "undecided":
        return Part(claim, record)
    seeds = seeds_to_decide(claim, evidence)
    counts = dict(zip(names, evidence.counts, strict=True))
    more = None if seeds is None else {name: seeds - count for name, count in counts.items() if seeds > count}
    return Part(claim, record, more)


def _with_forecast(record: ClaimRecord, parts: Sequence[Part], rows: Mapping[str, RowRecord]) -> ClaimRecord:
    """Adds what would decide an undecided claim; against several rows, all of what is undecided."""
    further = dict[str, int]()
    for part in parts:
        if part.further is None:
            return dataclasses.replace(record, why=sentence([record.why[:-1], forecast(None, None)]))
        for name, seeds in part.further.items():
            further[name] = max(seeds, further.get(name, 0))
    if not further:
        return record
    minutes = _minutes(further, rows)
    why = sentence([record.why[:-1], forecast(further, minutes)])
    return dataclasses.replace(record, why=why, more_seeds=max(further.values()), more_minutes=minutes)


def _not_asked(claim: Comparison, names: Sequence[str], rows: Mapping[str, RowRecord]) -> str:
    """Returns why these runs cannot say anything of a comparison; empty where they can."""
    if absent := [name for name in names if name not in rows or not rows[name].runs]:
        return f"{' and '.join(absent)} {'was' if len(absent) == 1 else 'were'} not run."
    if len(names) > 1 and _same_runs(rows[names[0]], rows[names[1]], rows):
        return f"{' and '.join(names)} are the same runs on this data, so a comparison says nothing."
    finite = [run for row in rows.values() for run in row.runs if run.finished and run.verdict != DIVERGED]
    if finite and not any(has_metric(run, claim.metric) for run in finite):
        labels = ", which takes labelled images" if claim.is_fraction else ""
        return f"{claim.metric} was not measured in any run{labels}."
    return ""


def _smallest_deviation(claim: Comparison, runs: Sequence[Sequence[RunRecord]]) -> float:
    """Returns the least standard deviation that seeds are taken to have, as three equal ones do not show that it is 0.

    An accuracy on N images moves in steps of 1 / N. Values that keep within a step, from one count to the next, have a
    standard deviation of half a step at most, and so much may hide behind values that are equal by chance. Where N is
    not known, a quarter of the smallest difference that matters takes its place. Other metrics have no step: what is
    equal in all digits is computed, not drawn.
    """
    if not claim.is_fraction:
        return 0.0
    images = [run.values[IMAGES] for having in runs for run in having if has_metric(run, IMAGES)]
    return 0.5 / min(images) if images else (claim.smallest or 0.0) / 4


def _minutes(more: Mapping[str, int], rows: Mapping[str, RowRecord]) -> float | None:
    """Returns the minutes of further runs, one after the other, by what the rows' runs have taken."""
    total = 0.0
    for name, seeds in more.items():
        seconds = [run.values["seconds"] for run in rows[name].runs if has_metric(run, "seconds")]
        if not seconds:
            return None
        total += seeds * statistics.mean(seconds) / 60
    return total


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
