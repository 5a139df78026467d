"""The outcomes of claims in words, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ssl_zoo.suites.record import OUTCOMES

__all__ = ["counted", "worst"]

VERBS = {
    "holds": ("holds", "hold"),
    "fails": ("fails", "fail"),
    "no difference": ("shows no difference", "show no difference"),
    "undecided": ("is undecided", "are undecided"),
}
WORST_FIRST = ("fails", "undecided", "no difference", "holds", "not asked")


def counted(outcomes: Iterable[str]) -> str:
    """Writes how many claims have each outcome: "3 of 5 claims hold, 1 fails, 1 shows no difference; 1 not asked"."""
    counts = Counter(outcomes)
    not_asked = counts.pop("not asked", 0)
    asked = counts.total()
    if not asked:
        return f"none of {_claims(not_asked)} is asked" if not_asked else "no claims"
    rest = [f"{counts[name]} {_verb(name, counts[name])}" for name in OUTCOMES[1:] if counts[name]]
    holding = f"{counts['holds']} of {_claims(asked)} {_verb('holds', 1 if asked == 1 else counts['holds'])}"
    return ", ".join([holding, *rest]) + (f"; {not_asked} not asked" if not_asked else "")


def worst(outcomes: Iterable[str]) -> str:
    """Returns the worst outcome: two claims that hold do not hide one that fails."""
    return min(outcomes, key=WORST_FIRST.index)


def _verb(outcome: str, count: int) -> str:
    return VERBS[outcome][count != 1]


def _claims(count: int) -> str:
    return f"{count} claim{'s' * (count != 1)}"
