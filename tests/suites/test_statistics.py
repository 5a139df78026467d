"""Welch's interval and Holm's correction against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ssl_zoo.suites.statistics import holm, welch


def test_the_interval_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        a, b = (generator.normal(0.7, generator.uniform(0.001, 0.1), generator.integers(2, 6)) for _ in "ab")
        reference = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        found = welch(a.tolist(), b.tolist())
        assert found == pytest.approx((a.mean() - b.mean(), reference.low, reference.high), rel=1e-9)
        one = stats.ttest_1samp(a, 0.6).confidence_interval(0.95)
        assert welch(a.tolist(), 0.6) == pytest.approx(
            (a.mean() - 0.6, one.low - 0.6, one.high - 0.6), rel=1e-9
        )


def test_the_interval_by_hand() -> None:
    # variances 1 and 4 of 2 values each: SE^2 = 1/2 + 2 = 2.5, df = 2.5^2 / (0.25 + 4)
    a, b = [0.0, math.sqrt(2)], [10.0, 10 + math.sqrt(8)]
    half = stats.t.ppf(0.975, 6.25 / 4.25) * math.sqrt(2.5)
    mean = math.sqrt(0.5) - 10 - math.sqrt(2)
    assert welch(a, b) == pytest.approx((mean, mean - half, mean + half))
    # one side without spread: the degrees of freedom of the other; both: no width
    half = stats.t.ppf(0.975, 1) * math.sqrt(0.5)
    assert welch(a, [0.0] * 5) == pytest.approx(
        (math.sqrt(0.5), math.sqrt(0.5) - half, math.sqrt(0.5) + half)
    )
    assert welch([0.3, 0.3, 0.3], [0.1, 0.1]) == pytest.approx((0.2, 0.2, 0.2))
    assert welch([1e-170, 3e-170], [0.0, 0.0]) is not None  # squares that underflow


def test_holm_by_hand() -> None:
    # sorted 0.01 x 4, 0.02 x 3, 0.03 x 2 and 0.04 x 1, never below the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rejects_as_the_step_down_procedure_does() -> None:
    p = [0.001, 0.2, 0.012, 0.013, 0.04, 0.9, 0.006]
    rejected = set()
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[place] > 0.05 / (len(p) - rank):
            break
        rejected.add(place)
    assert {place for place, one in enumerate(holm(p)) if one <= 0.05} == rejected
