"""Says which rows need another seed for a claim that is undecided."""

from __future__ import annotations

from collections.abc import Mapping

from ssl_zoo.suites.claims import Claim, Comparison, VerdictClaim
from ssl_zoo.suites.judge import judge_claim, measured
from ssl_zoo.suites.record import RowRecord

__all__ = ["rows_to_extend"]

FAILED = 2  # seeds without the figure, and none with it: another seed will lack it too


def rows_to_extend(claim: Claim, rows: Mapping[str, RowRecord]) -> set[str]:
    """Returns the rows that need another seed for an undecided claim; empty if more seeds cannot decide it.

    Of the two rows of a comparison the one with fewer seeds is extended, both where they have as many: the row whose
    values lie close together by chance would else never be looked at again.

    Args:
        claim: as `parse` returns it.
        rows: by name, with the seeds they have now; a row that was left out of this run is missing.
    """
    if judge_claim(claim, rows).state != "undecided":
        return set()
    if isinstance(claim, VerdictClaim):
        return _fewest(rows, [claim.row], None)
    pairs = [[claim.row, other] for other in claim.others if other in rows] if claim.others else [[claim.row]]
    extended = set[str]()
    for pair in pairs:
        one = claim if not claim.each else _against(claim, pair[1])
        if judge_claim(one, rows).state == "undecided":
            extended |= _fewest(rows, pair, claim.metric)
    return extended


def _against(claim: Comparison, other: str) -> Comparison:
    """Returns the part of a claim against `others` that is about one of them."""
    return Comparison(**{**vars(claim), "others": (other,), "each": False})


def _fewest(rows: Mapping[str, RowRecord], names: list[str], metric: str | None) -> set[str]:
    """Returns the rows with the fewest seeds; none where a row's seeds all end without a figure."""
    if any(name not in rows or rows[name].same_as in names for name in names):
        return set()
    counts = {name: len(measured(rows[name], metric)) for name in names}
    if any(not counts[name] and len(rows[name].runs) >= FAILED for name in names):
        return set()
    return {name for name, count in counts.items() if count == min(counts.values())}
