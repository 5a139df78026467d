"""Wrong decisions of claims over looks at 3, 4 ... 32 seeds, simulated: at most 5 %, and how soon they decide.

The simulation has its own Welch's interval, vectorised over suites and looks; that its outcomes are those of `outcome`
is tested on some of them. An experiment is a claim whose rows get a seed each until it is decided or has 32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.claim_rows import row
from numpy.typing import NDArray
from scipy.special import stdtrit

from ssl_zoo.suites.claims import Comparison, parse
from ssl_zoo.suites.extend import rows_to_extend
from ssl_zoo.suites.judge import judge_claim
from ssl_zoo.suites.outcomes import CLOSE, LEVEL, MANY, Evidence, outcome, seeds_to_decide

FIRST, LAST = 3, 32
SUITES = 8000
WORST = 0.05
NOISE = 3 * math.sqrt(WORST * (1 - WORST) / SUITES)  # 0.7 %: three standard errors of a simulated 5 %
SMALLEST = 0.005
IMAGES = 360  # test images, as of digits

Values = NDArray[np.float64]
States = NDArray[np.str_]


def claim_of(text: str) -> Comparison:
    claim = parse(text, ["a", "b"])
    assert isinstance(claim, Comparison)
    return claim


def looks(values: Values, seeds: NDArray[np.int64]) -> tuple[Values, Values]:
    """The mean and the variance of the first seeds of each suite, (suites, looks)."""
    count = np.arange(1, values.shape[1] + 1)
    mean = np.cumsum(values, 1) / count
    squares = np.cumsum((values - values[:, :1]) ** 2, 1) - count * (mean - values[:, :1]) ** 2
    variance = np.maximum(squares, 0) / np.maximum(count - 1, 1)
    return mean[:, seeds - 1], variance[:, seeds - 1]


def intervals(
    a: Values,
    b: Values | float,
    deviation: float = 0.0,
    levels: tuple[float, float] = (LEVEL, CLOSE),
    seeds_of_b: int = 0,
) -> Values:
    """Welch's intervals of the difference of means at each look, (ends at both levels, suites, looks).

    b may have all its seeds at once.
    """
    seeds = np.arange(FIRST, LAST + 1)
    counts = [seeds, np.full_like(seeds, seeds_of_b) if seeds_of_b else seeds]
    sides = [looks(side, n) for side, n in zip([a, b], counts, strict=False) if not isinstance(side, float)]
    estimate = sides[0][0] - (b if isinstance(b, float) else sides[1][0])
    squares = [np.maximum(v, deviation**2) / n for (_, v), n in zip(sides, counts, strict=False)]
    total = sum(squares)
    assert isinstance(total, np.ndarray)
    safe = np.where(total > 0, total, 1.0)
    parts = [np.square(s / safe) / (n - 1) for s, n in zip(squares, counts, strict=False)]
    degrees = 1 / np.where(total > 0, sum(parts), 1.0)
    many = np.maximum(*counts) > MANY
    chances = [np.where(many, (1 - level) / 4, (1 - level) / 2) for level in levels]  # to miss, on each side
    halves = [stdtrit(degrees, 1 - chance) * np.sqrt(total) for chance in chances]
    return np.stack([estimate + sign * half for half in halves for sign in (-1, 1)])


def more(ends: Values, smallest: float = SMALLEST) -> States:
    """The outcome of `a > b` at each look."""
    low, high, least, most = ends
    states = np.where(low > 1e-12, "holds", np.where(high <= 1e-12, "fails", "undecided"))
    return np.where((least > -smallest) & (most < smallest), "no difference", states)


def within(ends: Values, margin: float) -> States:
    """The outcome of `a ~ b within margin` at each look."""
    low, high, _, _ = ends
    out = (low > margin) | (high < -margin)
    return np.where((low >= -margin) & (high <= margin), "holds", np.where(out, "fails", "undecided"))


def first(states: States) -> tuple[States, NDArray[np.int64]]:
    """The outcome at the look that decides, else undecided, and the seeds of that look."""
    decided = states != "undecided"
    index = np.where(decided.any(1), decided.argmax(1), states.shape[1] - 1)
    return states[np.arange(len(states)), index], index + FIRST


def share(states: States, *wrong: str) -> float:
    return float(np.isin(first(states)[0], wrong).mean())


def normal(seed: int, mean: float, deviation: float) -> Values:
    return np.random.default_rng(seed).normal(0.7 + mean, deviation, (SUITES, LAST))


def few_errors(seed: int, errors: float) -> Values:
    """Accuracies on 360 images of which about so many are wrong."""
    counts = np.random.default_rng(seed).binomial(IMAGES, errors / IMAGES, (SUITES, LAST))
    return 1 - counts / IMAGES


HALF_IMAGE = 0.5 / IMAGES
DEVIATIONS = [(0.005, 0.005), (0.002, 0.01), (0.01, 0.002), (0.0, 0.005), (0.0005, 0.0025), (0.003, 0.003)]


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), DEVIATIONS)
def test_at_most_one_in_twenty_is_decided_wrongly(left: float, right: float) -> None:
    # equal rows: `a > b` may not hold
    assert share(more(intervals(normal(0, 0, left), normal(1, 0, right))), "holds") < WORST
    # a difference that just matters: neither no difference nor a failure
    ends = intervals(normal(2, SMALLEST, left), normal(3, 0, right))
    assert share(more(ends), "no difference", "fails") < WORST
    # ~ with the truth at its margin, inside and outside
    ends = intervals(normal(4, 0.02, left), normal(5, 0, right))
    assert share(within(ends, 0.02), "fails") < WORST
    assert share(within(ends, 0.02), "holds") < WORST
    # and within a margin that is smaller than the deviations, where both sides can be missed
    assert share(within(intervals(normal(6, 0, left), normal(7, 0, right)), 0.002), "fails") < WORST


@pytest.mark.slow
def test_rows_with_unequal_numbers_of_seeds() -> None:
    for left, right in DEVIATIONS:
        ends = intervals(normal(8, 0, left), normal(9, 0, right), seeds_of_b=LAST)
        assert share(more(ends), "holds") < WORST


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (0.3, 0.3), (5.0, 1.0), (1.0, 5.0), (10.0, 1.0)])
def test_accuracies_near_100_percent(left: float, right: float) -> None:
    """Few errors: discrete, skewed, with ties, and at 0.3 errors most seeds without any."""
    truth = (right - left) / IMAGES
    ends = (
        intervals(few_errors(10, left), few_errors(11, right), HALF_IMAGE) - truth
    )  # as if the rows were equal
    assert (ends[0] > 0).any(1).mean() < WORST + NOISE
    assert (ends[1] < 0).any(1).mean() < WORST + NOISE
    assert share(more(ends + SMALLEST), "no difference", "fails") < WORST + NOISE
    assert share(more(ends - SMALLEST), "no difference", "holds") < WORST + NOISE


@pytest.mark.slow
def test_equal_values_decide_nothing_by_themselves() -> None:
    """Row a has 90 or 91 of 100 images right, by a coin; b always has 90. Three equal seeds of a are no evidence."""
    coin = np.random.default_rng(12).integers(0, 2, (SUITES, LAST))
    a, b = 0.90 + coin / 100, np.full((SUITES, LAST), 0.90)
    wrong = ("no difference", "fails")  # the difference is 0.005, which just matters
    assert share(more(intervals(a, b)), *wrong) > 0.1
    assert share(more(intervals(a, b, 0.5 / 100)), *wrong) < WORST
    # one seed of each row on 360 images decides nothing, three equal ones that there is no difference
    record = judge_claim(
        claim_of("top1(a) > top1(b)"), {name: row(name, [0.9] * 2, images=360) for name in "ab"}
    )
    assert record.state == "undecided"


@pytest.mark.slow
def test_looks_at_95_percent_would_be_wrong_too_often() -> None:
    ends = intervals(normal(0, 0, 0.005), normal(1, 0, 0.005), levels=(0.95, 0.95))
    assert share(more(ends, smallest=0), "holds") > 0.09
    assert share(more(ends, smallest=0), "holds", "fails") > 0.18


@pytest.mark.slow
def test_one_point_at_half_a_point_is_decided() -> None:
    """The issue's case: with a deviation of 0.5 points, 1 point is found in nearly all suites, with some six seeds."""
    found, seeds = first(more(intervals(normal(14, 0.01, 0.005), normal(15, 0, 0.005))))
    assert (found == "holds").mean() > 0.98
    assert 5.8 < seeds.mean() < 6.6
    # and no difference at all is said to be none
    found, seeds = first(more(intervals(normal(16, 0, 0.0025), normal(17, 0, 0.0025))))
    assert (found == "no difference").mean() > 0.95
    assert seeds.mean() < 7


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_the_simulation_judges_as_claims_are_judged(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    a, b = np.round(rng.normal(0.7, rng.choice([0.002, 0.01]), (2, 1, LAST)) * IMAGES) / IMAGES
    a = a + rng.choice([0, 3, 10]) / IMAGES
    ends = intervals(a, b, HALF_IMAGE)
    for text, states in (
        ("top1(a) > top1(b)", more(ends)),
        ("top1(a) ~ top1(b)", within(ends, 0.02)),
        ("top1(b) < top1(a)", more(ends)),
    ):
        for look, expected in zip(range(FIRST, LAST + 1), states[0], strict=True):
            rows = [row(name, side[0, :look].tolist(), images=IMAGES) for name, side in (("a", a), ("b", b))]
            record = judge_claim(claim_of(text), {one.name: one for one in rows})
            assert record.state == expected, (text, look)


@pytest.mark.slow
def test_a_claim_against_ten_others_is_as_careful() -> None:
    """a is best by nothing or by what just matters: `a > others` may neither fail nor show no difference in 1 of 20."""
    others = 10
    levels = (1 - (1 - LEVEL) / others, 1 - (1 - CLOSE) / others)
    a, *rest = (normal(20 + k, 0, 0.005)[:2000] for k in range(others + 1))
    a += SMALLEST
    pairs = [intervals(a, other, levels=levels) for other in rest]
    wrong = np.zeros(len(a), bool)
    for ends in pairs:
        wrong |= np.isin(more(ends), ["fails", "no difference"]).any(1)
    assert wrong.mean() < WORST
    # and with one that is as good as a, it holds against all no more often than against that one
    best = normal(40, SMALLEST, 0.005)[:2000]
    holds = np.all([intervals(a, other)[0] > 0 for other in [*rest, best]], 0)
    assert holds.any(1).mean() < WORST


def test_against_others_the_intervals_are_wider() -> None:
    claim = claim_of("top1(a) > top1(b)")
    spread: dict[str, Any] = {"variances": [2.5e-5, 2.5e-5], "counts": [6, 6]}
    assert outcome(claim, Evidence(0.7, -0.012, **spread))[0] == "fails"
    assert outcome(claim, Evidence(0.7, -0.012, others=10, **spread)) == ("undecided", pytest.approx(0.999))
    assert outcome(claim, Evidence(0.7, 0.012, others=10, **spread)) == ("holds", LEVEL)


def test_the_seeds_that_would_decide() -> None:
    claim = claim_of("top1(a) > top1(b)")

    def evidence(estimate: float, deviation: float, *counts: int) -> Evidence:
        return Evidence(0.7, estimate, [deviation**2] * 2, counts)

    seeds = seeds_to_decide(claim, evidence(0.01, 0.01, 3, 3))
    assert seeds is not None
    # the first number of seeds at which the interval leaves 0 out
    half = [stdtrit(2 * n - 2, 0.995) * 0.01 * math.sqrt(2 / n) for n in (seeds - 1, seeds)]
    assert half[0] >= 0.01 > half[1]
    assert seeds_to_decide(claim, evidence(0.01, 0.01, 3, 5)) == seeds
    assert seeds_to_decide(claim, evidence(0.004, 0.05, 3, 3)) is None
    assert seeds_to_decide(claim_of("effective_rank(a) > effective_rank(b)"), evidence(0, 0.01, 3, 3)) is None


def test_seeds_are_added_until_a_claim_is_decided() -> None:
    """Rows as the loop of `seeds=auto` extends them, from three seeds: both equally, and no more once decided."""
    claim = claim_of("top1(a) > top1(b)")
    rng = np.random.default_rng(5)
    values = {"a": rng.normal(0.71, 0.005, LAST).tolist(), "b": rng.normal(0.7, 0.005, LAST).tolist()}
    counts = {"a": 3, "b": 5}
    while True:
        rows = {name: row(name, side[: counts[name]]) for name, side in values.items()}
        if not (names := rows_to_extend(claim, rows)):
            break
        assert names == ({"a"} if counts["a"] < counts["b"] else {"a", "b"})
        for name in names:
            counts[name] += 1
    assert judge_claim(claim, rows).state == "holds"
    assert counts["a"] < LAST
