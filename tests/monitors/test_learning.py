"""Evidence of learning: standard errors against closed forms and resampling, and the one error rate by simulation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.monitors.evidence import relative_alignment
from ssl_zoo.monitors.learning import (
    ERROR,
    SMALLEST_FALL,
    SMALLEST_GAIN,
    Accuracy,
    Difference,
    Distances,
    accuracy_gain,
    alignment_fall,
    has_learned,
    margin,
)


def gain(estimate: float, error: float, name: str = "kNN") -> Difference:
    return Difference(name, 0.5 + estimate, 0.5, estimate, error)


def fall(estimate: float, error: float, before: float = 0.8) -> Difference:
    return Difference("alignment", before - estimate, before, estimate, error)


def learned(*arguments: Any) -> bool | None:
    learning = has_learned(*arguments)
    return None if learning is None else learning.learned


def test_one_difference_has_two_standard_errors() -> None:
    assert margin(gain(0.1, 0.01), 1) == pytest.approx(0.02, rel=1e-3)
    assert margin(gain(0.1, 0.01), 3) == pytest.approx(0.0243, rel=1e-3)
    assert margin(gain(0.1, 0.0), 3) == 0
    few = Difference("alignment", 0.1, 0.2, 0.1, 0.01, freedom=3)
    assert margin(few, 1) > margin(gain(0.1, 0.01), 1)


def test_paired_hits_give_the_error_of_agresti_and_min() -> None:
    # 100 images; both encoders right on 80 and wrong on 4, the trained one alone on b, the other on c = 16 - b.
    # Wald+2 as in their R function diffpropci: sqrt((b + c + 1) - (c - b)^2 / (n + 2)) / (n + 2)
    for b in (8, 11, 16):
        c = 16 - b
        hits = (1.0,) * (80 + b) + (0.0,) * (4 + c)
        others = (1.0,) * 80 + (0.0,) * (4 + b) + (1.0,) * c
        first, second = (Accuracy(sum(h) / 100, h) for h in (hits, others))
        difference = accuracy_gain("probe", first, second)
        assert difference.estimate == pytest.approx((b - c) / 100)
        assert difference.error == pytest.approx(math.sqrt(17 - (16 - 2 * b) ** 2 / 102) / 102)


def test_draws_add_the_spread_of_their_paired_differences() -> None:
    first, second = Accuracy(0.9, draws=(0.88, 0.92, 0.9)), Accuracy(0.8, draws=(0.79, 0.79, 0.82))
    gains = (0.09, 0.13, 0.08)
    variance = sum((g - 0.1) ** 2 for g in gains) / 2 / 3
    assert accuracy_gain("probe", first, second).error == pytest.approx(math.sqrt(variance))
    with pytest.raises(ValueError, match="shorter"):
        accuracy_gain("probe", first, Accuracy(0.8, draws=(0.8, 0.8)))


def test_the_alignment_has_the_error_that_resampling_gives() -> None:
    g = torch.Generator().manual_seed(0)
    images = torch.randn(400, 16, generator=g)
    noise = torch.rand(400, 1, generator=g)
    pairs = [
        (
            images + s * noise * torch.randn(400, 16, generator=g),
            images + s * noise * torch.randn(400, 16, generator=g),
        )
        for s in (0.5, 1.0)
    ]
    ratios = []
    for _ in range(300):
        rows = torch.randint(400, (400,), generator=g)
        a, b = (Distances.between(z_a[rows], z_b[rows]) for z_a, z_b in pairs)
        ratios.append(b.views.mean() / b.center.mean() / 2 - a.views.mean() / a.center.mean() / 2)
    trained, untrained = (relative_alignment(measure_embeddings(*pair)) for pair in pairs)
    difference = alignment_fall(trained, untrained, *(Distances.between(*pair) for pair in pairs))
    assert difference.estimate == pytest.approx(untrained - trained)
    assert difference.error == pytest.approx(float(torch.stack(ratios).std()), rel=0.15)
    assert difference.freedom == 399
    equal = Distances.between(torch.ones(9, 3), torch.ones(9, 3))
    assert alignment_fall(1.0, 1.0, equal, equal).error == 0


def test_an_untrained_encoder_is_taken_for_learning_as_seldom_as_is_said() -> None:
    g = torch.Generator().manual_seed(0)
    draws = 20_000
    z = torch.randn(draws, 3, generator=g).tolist()
    wrong = sum(learned([gain(a, 1.0), gain(b, 1.0)], fall(c, 1.0)) or False for a, b, c in z)
    # With labels that rule nothing out, as here, it is the Bonferroni bound but for its own slack.
    assert ERROR - 4 * math.sqrt(ERROR / draws) < wrong / draws < ERROR + 3 * math.sqrt(ERROR / draws)


def test_a_gain_of_either_classifier_is_learning() -> None:
    """2,000 CIFAR images: the 100-label probe stayed at 24 %, kNN rose from 24.0 to 31.5 %."""
    flat, rise = gain(0.0, 0.006, "linear probe"), gain(0.075, 0.007)
    assert learned([flat, rise], fall(0.0, 0.01))
    assert learned([flat, rise], None)
    assert not learned([flat], None)


def test_labels_that_rule_a_gain_out_overrule_the_alignment() -> None:
    nearer = fall(0.7, 0.01)
    assert learned([gain(-0.05, 0.01), gain(-0.03, 0.01)], nearer) is False
    assert learned([gain(0.0, 0.002)], nearer) is False
    assert learned([gain(-0.012, 0.003), gain(0.011, 0.006)], nearer) is False  # one falls, none rises
    assert learned([gain(-0.05, 0.01), gain(0.05, 0.01)], nearer) is True  # one falls, one rises
    assert learned([gain(0.0, 0.05)], nearer) is True  # too few test images to tell
    assert learned([gain(0.0, 0.05)], fall(0.0, 0.01)) is False
    assert learned([], nearer) is True
    assert learned([], None) is None


@given(st.floats(SMALLEST_GAIN / 2 + 1e-9, 0.5), st.floats(0.2, 5.0), st.booleans())
def test_the_arrival_of_labels_never_turns_learning_into_not_learning(
    true_gain: float, spread: float, two: bool
) -> None:
    """A run that gains more than half a point, measured without error, on 1 to 10^7 test images."""
    for digit in range(71):
        error = spread / math.sqrt(10 ** (digit / 10))
        gains = [gain(true_gain, error)] * (1 + two)
        assert learned(gains, fall(0.5, 0.01)) is True


def test_a_fall_of_the_alignment_must_exceed_both_margins() -> None:
    assert not learned([], fall(0.01, 0.0, 0.81))  # 0.80 against 0.81, however many images
    assert not learned([], fall(0.1, 0.06))
    assert learned([], fall(SMALLEST_FALL * 0.8 + 1e-6, 0.001))
    assert not learned([], fall(SMALLEST_FALL * 0.8 - 1e-6, 0.001))
