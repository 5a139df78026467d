"""The statistics that suites are judged and compared by: Welch's interval and test, Holm's correction.

`scipy.stats.ttest_ind` gives no interval where both variances are 0, as they often are for accuracies on few images;
here it has the width 0. scipy has no Holm's correction.

- [0] Welch, 1947, https://doi.org/10.1093/biomet/34.1-2.28
- [1] A simple sequentially rejective multiple test procedure, S. Holm, 1979, https://www.jstor.org/stable/4615733
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student
from scipy.stats import ttest_ind_from_stats

__all__ = ["CONFIDENCE", "ROUNDING", "Interval", "holm", "p_value", "welch"]

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of the figures; 0.72 - 0.70 is not more than 0.02


class Interval(NamedTuple):
    """A difference of means and its confidence interval."""

    estimate: float
    low: float
    high: float


def welch(left: list[float], right: list[float] | float) -> Interval:
    """Returns the 95 % interval of mean(left) - mean(right), of at least two values on each side, or to a number [0].

    Seeds are independent and the variances of the two sides need not be equal. With n values of variance v on each,

        SE^2 = v_a / n_a + v_b / n_b,    df = SE^4 / ((v_a / n_a)^2 / (n_a - 1) + (v_b / n_b)^2 / (n_b - 1)),
        interval = d +- t(0.975, df) SE;    against a number: SE^2 = v / n, df = n - 1
    """
    sides = [left] if isinstance(right, float) else [left, right]
    # `statistics` is exact: the variance of equal values is 0 and their mean is the value
    a, b = statistics.mean(left), right if isinstance(right, float) else statistics.mean(right)
    estimate = 0.0 if math.isclose(a, b, rel_tol=ROUNDING) else a - b
    squares = [statistics.variance(side) / len(side) for side in sides]  # of the standard errors
    total = sum(squares)
    if total == 0:
        return Interval(estimate, estimate, estimate)
    degrees = 1 / sum((s / total) ** 2 / (len(side) - 1) for s, side in zip(squares, sides, strict=True))
    half = float(student.ppf((1 + CONFIDENCE) / 2, degrees)) * math.sqrt(total)
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
