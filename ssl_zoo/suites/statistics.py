"""The statistics that suites are judged and compared by: Welch's interval and test, Holm's correction.

`scipy.stats.ttest_ind` gives no interval where both variances are 0, as they often are for accuracies on few images,
and knows no smallest deviation. scipy has no Holm's correction.

- [0] Welch, 1947, https://doi.org/10.1093/biomet/34.1-2.28
- [1] A simple sequentially rejective multiple test procedure, S. Holm, 1979, https://www.jstor.org/stable/4615733
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtrit
from scipy.stats import ttest_ind_from_stats

__all__ = ["CONFIDENCE", "ROUNDING", "Interval", "holm", "interval_of", "p_value", "welch"]

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of the figures; 0.72 - 0.70 is not more than 0.02


class Interval(NamedTuple):
    """A difference of means and its confidence interval."""

    estimate: float
    low: float
    high: float


def welch(
    left: Sequence[float], right: Sequence[float] | float, level: float = CONFIDENCE, deviation: float = 0.0
) -> Interval:
    """Returns the interval of mean(left) - mean(right), of at least two values on each side, or to a number [0].

    Args:
        left: values of one side.
        right: those of the other, or the number.
        level: the confidence level.
        deviation: the least that the standard deviation of a side is taken to be.
    """
    sides = [left] if isinstance(right, float) else [left, right]
    # `statistics` is exact: the variance of equal values is 0 and their mean is the value
    a, b = statistics.mean(left), right if isinstance(right, float) else statistics.mean(right)
    estimate = 0.0 if math.isclose(a, b, rel_tol=ROUNDING) else a - b
    variances = [max(statistics.variance(side), deviation**2) for side in sides]
    return interval_of(estimate, variances, [len(side) for side in sides], level)


def interval_of(estimate: float, variances: Sequence[float], counts: Sequence[int], level: float) -> Interval:
    """Returns Welch's interval of a difference of means [0].

    Seeds are independent and the variances of the two sides need not be equal. With n values of variance v on each,

        SE^2 = v_a / n_a + v_b / n_b,    df = SE^4 / ((v_a / n_a)^2 / (n_a - 1) + (v_b / n_b)^2 / (n_b - 1)),
        interval = d +- t((1 + level) / 2, df) SE;    against a number: SE^2 = v / n, df = n - 1
    """
    squares = [
        variance / count for variance, count in zip(variances, counts, strict=True)
    ]  # standard errors'
    total = sum(squares)
    if total == 0:
        return Interval(estimate, estimate, estimate)
    degrees = 1 / sum((s / total) ** 2 / (count - 1) for s, count in zip(squares, counts, strict=True))
    half = float(stdtrit(degrees, (1 + level) / 2)) * math.sqrt(total)
    return Interval(estimate, estimate - half, estimate + half)


def p_value(left: Sequence[float], right: Sequence[float]) -> float:
    """Returns the p value of Welch's test of two samples that are not both constant."""
    sides = ((statistics.mean(side), statistics.stdev(side), len(side)) for side in (left, right))
    return float(ttest_ind_from_stats(*(figure for side in sides for figure in side), equal_var=False).pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Returns Holm's corrected p values: below alpha where his procedure rejects at alpha [1]."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = highest
    return corrected
