"""The claims of a suite: how many of them hold, each with its figures and its interval."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.pages.drawing import Picture, chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number
from ssl_zoo.pages.page import Badge, Block, Cell, Gallery, Prose, Section, Table
from ssl_zoo.pages.row_charts import Difference, differences, differences_size
from ssl_zoo.reports.outcomes import counted, worst
from ssl_zoo.suites.aggregate import heading, is_fraction
from ssl_zoo.suites.record import ClaimRecord, SuiteRecord

__all__ = ["claims", "claims_badge", "missing"]

OUTCOMES = (
    "✓ holds, ✕ fails: all of the interval is on the claim's side of its bound, or on the other. ≈ no difference: all "
    "of it is closer to the bound than matters. ? undecided: these seeds do not tell. – not asked: these runs cannot."
)


def claims_badge(record: SuiteRecord) -> Badge | None:
    """Sums up the claims in a badge, toned by the worst."""
    outcomes = [claim.state for claim in record.claims]
    return Badge(counted(outcomes), like=worst(outcomes)) if outcomes else None


def missing(record: SuiteRecord) -> str:
    """Returns a sentence on how many runs have no result; empty where all have one."""
    runs = [run for row in record.rows for run in row.runs]
    number_missing = sum(not run.finished for run in runs)
    if not number_missing:
        return ""
    return f"{number_missing} of {_count(len(runs), 'run')} {'has' if number_missing == 1 else 'have'} no result."


def claims(record: SuiteRecord) -> Section | None:
    """Tabulates each claim with its state and the reason, and draws the intervals of those about figures."""
    if not record.claims:
        return None
    rows = [
        (Cell(claim.text, claim.text, code=True, left=True), Badge(claim.state), claim.why)
        for claim in record.claims
    ]
    caption = f"By all seeds together, never by one run. {OUTCOMES}"
    blocks: list[Block] = [Table(("claim", "", "why"), rows, caption, wordy=True)]
    if pictures := _intervals(record.claims):
        text = (
            "Point: difference of the means; line: its interval, at the level that the claim's sentence names; dashed: "
            "a difference of 0. A claim with a margin of its own needs more than to be clear of that line, or less: "
            "its sentence says how much."
        )
        blocks += [Prose(text), Gallery(pictures, wide=True)]
    return Section("claims", "Claims", blocks)


def _intervals(claims: Sequence[ClaimRecord]) -> list[Picture]:
    """Draws a picture for each scale: accuracies have one in common, in points; other metrics have one each."""
    scales: dict[str, list[ClaimRecord]] = {}
    for claim in claims:
        if claim.estimate is not None:
            metric = claim.metric or "top1"
            scales.setdefault("accuracy" if is_fraction(metric) else metric, []).append(claim)
    pictures = []
    for scale, group in scales.items():
        points = scale == "accuracy"
        labels = drawable([claim.text for claim in group], "claim")
        rows = [
            _difference(claim, label, 100 if points else 1)
            for claim, label in zip(group, labels, strict=True)
        ]
        unit = "points of accuracy" if points else heading(scale)
        intervals = "; ".join(
            f"{claim.text}: {number(row.value)} ({number(row.low)} to {number(row.high)}), {row.state}"
            for claim, row in zip(group, rows, strict=True)
        )
        picture = chart(
            f"claims-{scale.replace('_', '-')}",
            differences(f"Left side minus right side, {unit}", rows),
            alt=f"Differences in {unit} with intervals: {intervals}.",
            size=differences_size(rows),
        )
        pictures.append(picture)
    return pictures


def _difference(claim: ClaimRecord, label: str, factor: int) -> Difference:
    estimate = claim.estimate or 0.0
    low = estimate if claim.low is None else claim.low
    high = estimate if claim.high is None else claim.high
    return Difference(label, claim.state, factor * estimate, factor * low, factor * high)


def _count(number: int, phrase: str) -> str:
    return f"{number} {phrase}" if number == 1 else f"{number} {phrase}s"
