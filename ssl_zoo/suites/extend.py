"""Says which rows need another seed for a claim that is undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ssl_zoo.suites.claims import Claim, VerdictClaim
from ssl_zoo.suites.judge import Part, judge_claim, judged_parts, measured
from ssl_zoo.suites.outcomes import MOST
from ssl_zoo.suites.record import RowRecord

__all__ = ["rows_to_extend"]

FRUITLESS = 2  # seeds without the figure, and none with it: another seed will lack it too
BELIEVED_FROM = 5  # seeds of each row, from which on a forecast is believed


def rows_to_extend(claim: Claim, rows: Mapping[str, RowRecord], most: int = MOST) -> set[str]:
    """Returns the rows that need another seed for an undecided claim; empty if more seeds cannot decide it.

    Of the two rows of a comparison the one with fewer seeds is extended, both where they have as many. Extending the
    one whose values spread more would be quicker, but not valid: a row whose first values lie close together by chance
    would never be looked at again.

    Args:
        claim: as `parse` returns it.
        rows: by name, with the seeds they have now; a row that was left out of this run is missing.
        most: seeds of a row; a claim that would probably take more is given up, which makes no decision wrong. Of
            claims that at five seeds would take more than 40, one in fifty is decided by ten.
    """
    if judge_claim(claim, rows).state != "undecided":
        return set()
    if isinstance(claim, VerdictClaim):
        return _fewest(rows, [claim.row], None) if len(measured(rows[claim.row], None)) < 2 else set()
    extended = set[str]()
    for part in judged_parts(claim, rows):
        if part.record.state != "undecided":
            continue
        names = [part.claim.row, *part.claim.others]
        counts = {name: len(measured(rows[name], claim.metric)) for name in names}
        if min(counts.values()) >= BELIEVED_FROM and _needs_more(part, counts, most):
            continue
        extended |= _fewest(rows, names, claim.metric)
    return extended


def _needs_more(part: Part, counts: Mapping[str, int], most: int) -> bool:
    """Whether a comparison would take more seeds of a row than that."""
    return part.further is None or any(counts[name] + seeds > most for name, seeds in part.further.items())


def _fewest(rows: Mapping[str, RowRecord], names: Sequence[str], metric: str | None) -> set[str]:
    """Returns the rows with the fewest seeds; none where a row's seeds all end without a figure."""
    counts = {name: len(measured(rows[name], metric)) for name in names}
    if any(not counts[name] and len(rows[name].runs) >= FRUITLESS for name in names):
        return set()
    return {name for name, count in counts.items() if count == min(counts.values())}
