"""The outcome of a comparison by the interval of its difference, valid at every look.

| claim           | holds                      | fails                  | no difference                     |
|-----------------|----------------------------|------------------------|-----------------------------------|
| a > b + bound   | all of the interval > bound| all of it <= bound     | all of d - bound in (-s, s)       |
| a < b + bound   | all of the interval < bound| all of it >= bound     | all of d - bound in (-s, s)       |
| a ~ b within m  | all of d - bound in [-m, m]| all of it outside      | never: this is what it claims     |

and undecided otherwise; d is the difference of the means and s the smallest that matters. No difference comes first: a
difference that is surely smaller than matters neither confirms the claim nor refutes it.

Error: seeds may be added as long as a claim is undecided, and each new seed is a look. Where the truth is a bound, an
interval misses it on one side: at d = bound `a > b` may wrongly hold; at bound + s it may wrongly show no difference,
by an interval below the truth. Of 99 % intervals 0.5 % miss on one side, at a look; at one at least of the looks at 3,
4 ... 20 seeds 2.6 % with equal deviations, 3.8 % with deviations of 1 to 5, 4 to 6 % for accuracies near 100 %, whose
distribution is skewed (tests/suites/test_looks.py). A margin below a tenth of the deviations can be missed on both
sides: up to 8 %. Intervals of 95 % would miss in 10 % on one side, 20 % on both.
Beyond 20 seeds intervals miss half as often (99.5 and 99 %), so that up to 32 seeds it is about as much.

No difference is said by a 98 % interval and errs no more often: it has to be narrower than 2 s, which the first looks
seldom give, and at a truth of s the claim mostly holds before. It so needs some 15 % fewer seeds. The levels are the
same for a number of seeds that is fixed, so that `seeds=3` and `seeds=auto` say the same of the same runs.

Against K `others` a claim holds if it holds against each, which needs no correction [0]: for a false one the row that
refutes it has to be missed. It fails if it fails against one, and shows no difference if it shows none against one and
holds against the rest; these are K chances to err, so their intervals miss K times less often (Bonferroni).

- [0] Berger, 1982, Multiparameter hypothesis testing and acceptance sampling
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssl_zoo.suites.claims import Comparison
from ssl_zoo.suites.statistics import ROUNDING, Interval, interval_of

__all__ = ["CLOSE", "LEVEL", "MOST", "Evidence", "outcome", "seeds_to_decide"]

LEVEL = 0.99  # of the interval at each look
CLOSE = 0.98  # of the interval that shows no difference
MANY = 20  # seeds of a row, beyond which an interval misses half as often
MOST = 100  # seeds that are thought of


@dataclass(frozen=True)
class Evidence:
    """Evidence of seeds on a difference: means, variances and numbers of the sides; a number has one side.

    Attributes:
        left: mean of the left side.
        estimate: difference of the means.
        variances: of each side.
        counts: seeds of each side.
        others: K, where a claim is about each of K rows.
    """

    left: float
    estimate: float
    variances: Sequence[float]
    counts: Sequence[int]
    others: int = 1

    def interval(self, level: float) -> Interval:
        """Returns the interval of the difference."""
        return interval_of(self.estimate, self.variances, self.counts, level)

    def level(self, level: float) -> float:
        """Returns the level of an interval, which after many looks is higher."""
        return level if max(self.counts) <= MANY else (1 + level) / 2

    def strict(self, level: float) -> float:
        """Returns the level at which one of several others refutes a claim."""
        return 1 - (1 - self.level(level)) / self.others


def outcome(claim: Comparison, evidence: Evidence) -> tuple[str, float]:
    """Returns the outcome by the table above, and the level of the interval that shows it."""
    offset = claim.bound if claim.others else 0.0
    slack = ROUNDING * (abs(evidence.left) + abs(evidence.estimate) + abs(offset))

    def bounds(level: float) -> tuple[float, float]:
        interval = evidence.interval(level)
        low, high = interval.low - offset, interval.high - offset
        return (-high, -low) if claim.sign == "<" else (low, high)

    usual, apart = evidence.level(LEVEL), evidence.strict(LEVEL)
    if claim.margin is not None:
        margin = claim.margin + slack
        low, high = bounds(usual)
        if -margin <= low and high <= margin:
            return "holds", usual
        low, high = bounds(apart)
        return "fails" if low > margin or high < -margin else "undecided", apart
    if claim.smallest is not None:
        close = evidence.strict(CLOSE)
        low, high = bounds(close)
        if max(-low, high) < claim.smallest - slack:
            return "no difference", close
    if bounds(usual)[0] > slack:
        return "holds", usual
    return "fails" if bounds(apart)[1] <= slack else "undecided", apart


def seeds_to_decide(claim: Comparison, evidence: Evidence) -> int | None:
    """Returns the number of seeds of each row that would decide an undecided claim, if means and deviations stay.

    None: more than `MOST`. The row with fewer seeds is extended first.
    """
    for seeds in range(min(evidence.counts) + 1, MOST + 1):
        counts = [max(count, seeds) for count in evidence.counts]
        more = Evidence(evidence.left, evidence.estimate, evidence.variances, counts, evidence.others)
        if outcome(claim, more)[0] != "undecided":
            return seeds
    return None
