"""Each verdict from evidence made by hand, on both sides of its threshold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.monitors import Evidence, judge

NAN = math.nan
GOOD = {"output_std_ratio": 0.9, "center_ratio": 0.4, "effective_rank": 40.0, "alignment": 0.2}
CONE = {
    "output_std_ratio": 0.2,
    "center_ratio": 0.98,
    "effective_rank": 3.0,
    "alignment": 0.03,
}  # an untrained encoder
LEARNED: dict[str, Any] = {
    "classes": 10,
    "linear_top1": 0.95,
    "random_linear_top1": 0.85,
    "linear_draws": (0.94, 0.96),
    "random_linear_draws": (0.84, 0.86),
    "test_size": 360,
}
UNLABELLED = Evidence(epochs=20, loss=0.5, weights_finite=True, diagnostics=GOOD, initial=CONE)
LABELLED = replace(UNLABELLED, **LEARNED)


def name(evidence: Evidence) -> str:
    return judge(evidence).name


def reason(evidence: Evidence) -> str:
    return judge(evidence).reason


def test_healthy_cites_the_figures() -> None:
    verdict = judge(LABELLED)
    assert verdict.name == "healthy"
    for figure in ("95.0%", "85.0%", "10.0 points", "20 epochs", "0.90", "effective rank 40"):
        assert figure in verdict.reason


def test_knn_stands_beside_the_probe() -> None:
    """Where the probe sees no gain and kNN does, the reader sees both."""
    evidence = replace(LABELLED, linear_top1=0.85, linear_draws=None, random_linear_draws=None)
    beside = replace(evidence, knn_top1=0.315, random_knn_top1=0.24)
    assert judge(beside).name == judge(evidence).name == "not learning"
    assert "85.0% after 20 epochs against 85.0%" in judge(beside).reason
    assert "; kNN 31.5% against 24.0%;" in judge(beside).reason


@pytest.mark.parametrize("loss", [NAN, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_diverged(loss: float) -> None:
    assert name(replace(LABELLED, loss=loss)) == "diverged"
    assert str(loss) in reason(replace(UNLABELLED, loss=loss))


def test_weights_embeddings_or_features_that_are_not_finite_diverged() -> None:
    nothing = dict.fromkeys(GOOD, NAN)
    assert name(replace(LABELLED, weights_finite=False)) == "diverged"
    assert name(replace(UNLABELLED, diagnostics=nothing)) == "diverged"
    assert name(replace(LABELLED, linear_top1=NAN)) == "diverged"
    assert name(replace(UNLABELLED, loss=None)) == "healthy"  # no step made: nothing diverged


def center(energy: float) -> float:
    return math.sqrt(1 - energy)


@pytest.mark.parametrize("evidence", [LABELLED, UNLABELLED])
def test_collapsed_below_the_resolution_of_bf16(evidence: Evidence) -> None:
    just_below = dict(GOOD, output_std_ratio=0.06, center_ratio=center(0.999 * 2**-8))
    just_above = dict(GOOD, center_ratio=center(1.001 * 2**-8), alignment=1e-4)
    assert name(replace(evidence, diagnostics=just_below)) == "collapsed"
    assert name(replace(evidence, diagnostics=just_above)) == "healthy"
    sentence = reason(replace(evidence, diagnostics=just_below))
    assert "0.0039" in sentence
    assert "output std ratio 0.06" in sentence


def test_the_threshold_is_where_bf16_tells_the_cosine_from_one() -> None:
    above, below = (torch.tensor(1 - energy).bfloat16().item() for energy in (2**-8, 0.49 * 2**-8))
    assert above < 1.0 == below
    assert torch.tensor(1 - 2**-8).item() == torch.nextafter(
        torch.tensor(1.0, dtype=torch.bfloat16), torch.tensor(0.0, dtype=torch.bfloat16)
    )


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.03])
def test_measured_collapse(noise: float) -> None:
    g = torch.Generator().manual_seed(0)
    z_a, z_b = (torch.ones(200, 64) + noise * torch.randn(200, 64, generator=g) for _ in range(2))
    diagnostics = measure_embeddings(z_a, z_b)
    assert diagnostics["output_std_ratio"] < 2**-4
    assert name(replace(LABELLED, diagnostics=diagnostics)) == "collapsed"
    assert name(replace(LABELLED, diagnostics=measure_embeddings(0 * z_a, 0 * z_b))) == "collapsed"


def test_few_channels_are_no_collapse() -> None:
    z = torch.eye(5, 2048).repeat(20, 1)  # five classes, one-hot: perfect, though the std ratio is low
    diagnostics = measure_embeddings(z, z)
    assert diagnostics["output_std_ratio"] < 2**-4
    assert name(replace(LABELLED, diagnostics=diagnostics, classes=5)) == "healthy"


@pytest.mark.parametrize(
    ("classes", "directions", "need"),
    [
        (10, None, 9),
        (10, 127, 9),
        (10, 18, 9),
        (10, 17, 2),  # more than half of the directions there are
        (1000, 1023, 2),
        (1000, 2000, 999),
        (1000, None, 999),
        (3, 127, 2),
        (2, 127, 1),
        (1, 127, 2),
        (None, 127, 2),
    ],
)
def test_partially_collapsed_below_what_the_classes_need(
    classes: int | None, directions: int | None, need: int
) -> None:
    evidence = replace(LABELLED, classes=classes, directions=directions)
    enough = replace(evidence, diagnostics=dict(GOOD, effective_rank=float(need)))
    assert name(enough) == "healthy"
    if need > 1:  # the effective rank of anything is at least 1
        verdict = judge(replace(evidence, diagnostics=dict(GOOD, effective_rank=need - 0.01)))
        assert verdict.name == "partially collapsed"
        assert f"below the {need} directions" in verdict.reason


def test_the_untrained_cone_excuses_nothing_and_condemns_nothing() -> None:
    same = replace(LABELLED, diagnostics=dict(GOOD, effective_rank=4.0))
    assert name(same) == "partially collapsed"
    assert "untrained encoder: 3" in reason(same)
    collapsed_start = dict(CONE, output_std_ratio=0.01, center_ratio=0.99999, effective_rank=1.1)
    assert name(replace(LABELLED, initial=collapsed_start)) == "healthy"
    nothing = dict.fromkeys(GOOD, NAN)
    assert name(replace(same, initial=nothing)) == "partially collapsed"


def by_hand(p: float, q: float, n: int, gains: list[float]) -> float:
    """Standard error: plus-one binomial variances, and the spread of the paired gains."""
    p, q = (n * p + 1) / (n + 2), (n * q + 1) / (n + 2)
    middle = sum(gains) / len(gains)
    spread = sum((g - middle) ** 2 for g in gains) / (len(gains) - 1) / len(gains)
    return math.sqrt(p * (1 - p) / (n + 2) + q * (1 - q) / (n + 2) + spread)


def test_learning_means_more_than_two_standard_errors() -> None:
    q, n = 0.85, 360
    random_draws, noise = (0.80, 0.84, 0.88, 0.88), (0.01, -0.02, 0.03, -0.02)

    def trained(gain: float) -> Evidence:
        draws = tuple(a + gain + b for a, b in zip(random_draws, noise, strict=True))
        return replace(
            LABELLED,
            linear_top1=q + gain,
            random_linear_top1=q,
            linear_draws=draws,
            random_linear_draws=random_draws,
            test_size=n,
        )

    below, above = 0.0546, 0.0556
    assert below < 2 * by_hand(q + below, q, n, [below + b for b in noise])
    assert above > 2 * by_hand(q + above, q, n, [above + b for b in noise])
    assert name(trained(below)) == "not learning"
    assert name(trained(above)) == "healthy"
    assert "not more than 2 standard errors" in reason(trained(below))


def test_hits_per_image_give_a_tighter_standard_error() -> None:
    # 100 images; both encoders right on 80 and wrong on 4, the trained one alone on b, the other on c = 16 - b.
    def paired(b: int) -> Evidence:
        c = 16 - b
        hits, random_hits = (1.0,) * (80 + b) + (0.0,) * (4 + c), (1.0,) * 80 + (0.0,) * (4 + b) + (1.0,) * c
        return replace(
            UNLABELLED,
            classes=10,
            linear_top1=sum(hits) / 100,
            random_linear_top1=sum(random_hits) / 100,
            linear_hits=hits,
            random_linear_hits=random_hits,
        )

    # Wald+2 of Agresti and Min as in their R function diffpropci: sqrt((b + c + 1) - (c - b)^2 / (n + 2)) / (n + 2)
    for b, learned in ((11, False), (12, True)):
        error = math.sqrt(17 - (16 - 2 * b) ** 2 / 102) / 102
        assert ((2 * b - 16) / 100 > 2 * error) == learned
        assert name(paired(b)) == ("healthy" if learned else "not learning")
        assert f"2 standard errors ({200 * error:.1f})" in reason(paired(b))
    assert name(replace(paired(12), linear_hits=None, test_size=100)) == "not learning"  # the binomial bound
    assert (
        name(replace(paired(12), linear_draws=(0.9, 1.0), random_linear_draws=(0.9, 0.8))) == "not learning"
    )


@pytest.mark.parametrize(("p", "q"), [(0.85, 0.85), (0.5, 0.9), (1.0, 1.0), (0.0, 0.0)])
def test_no_gain_is_not_learning(p: float, q: float) -> None:
    evidence = replace(LABELLED, linear_top1=p, random_linear_top1=q)
    assert name(evidence) == "not learning"
    assert name(replace(evidence, test_size=None, linear_draws=None)) == "not learning"


def test_a_handful_of_test_images_proves_nothing() -> None:
    alone = {"linear_draws": None, "random_linear_draws": None, "linear_top1": 1.0, "random_linear_top1": 0.8}
    assert name(replace(LABELLED, **alone, test_size=5)) == "not learning"
    assert name(replace(LABELLED, **alone, test_size=100)) == "healthy"
    unknown = replace(LABELLED, **alone, test_size=None)
    assert name(unknown) == "healthy"
    assert "no standard error" in reason(unknown)


def test_unequal_draws_are_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge(replace(LABELLED, linear_draws=(0.9, 0.95, 0.96)))


@pytest.mark.parametrize(
    "missing",
    [
        {},
        {"classes": 10},
        {"classes": 10, "linear_top1": 0.9},
        {"classes": 10, "linear_top1": 0.9, "random_linear_top1": NAN},
        {"classes": 1, "linear_top1": 1.0, "random_linear_top1": 1.0},
    ],
)
def test_without_probes_the_alignment_decides(missing: dict[str, Any]) -> None:
    evidence = replace(UNLABELLED, **missing)
    start = CONE["alignment"] / (2 * (1 - CONE["center_ratio"] ** 2))  # 0.38 of the distance between images
    spread = 2 * (1 - GOOD["center_ratio"] ** 2)
    for share, expected in ((0.999, "healthy"), (1.001, "not learning")):
        aligned = replace(evidence, diagnostics=dict(GOOD, alignment=share * start * spread))
        assert name(aligned) == expected
        how = "labels" if missing.get("classes") in (None, 1) else "linear probes of both encoders"
        assert reason(aligned).startswith(f"judged without {how}: ")
        assert "0.38" in reason(aligned)


def test_an_untrained_encoder_is_not_learning() -> None:
    untrained = dict(CONE, effective_rank=20.0)
    assert name(replace(UNLABELLED, diagnostics=untrained, initial=untrained)) == "not learning"


@pytest.mark.parametrize("initial", [None, dict.fromkeys(GOOD, NAN)])
def test_without_anything_to_compare_with_it_says_so(initial: dict[str, float] | None) -> None:
    verdict = judge(replace(UNLABELLED, initial=initial))
    assert verdict.name == "healthy"
    assert "judged without labels or an untrained encoder" in verdict.reason


def test_the_first_rule_that_applies_gives_the_verdict() -> None:
    worst = replace(
        LABELLED,
        loss=NAN,
        diagnostics=dict(GOOD, center_ratio=1.0, output_std_ratio=0.0, effective_rank=1.0),
        linear_top1=0.1,
    )
    repairs: list[dict[str, Any]] = [
        {"loss": 0.5},
        {"diagnostics": dict(GOOD, effective_rank=1.0)},
        {"linear_top1": 0.95},
        {"diagnostics": GOOD},
    ]
    seen = [name(worst)]
    for repair in repairs:
        worst = replace(worst, **repair)
        seen.append(name(worst))
    assert seen == ["diverged", "collapsed", "not learning", "partially collapsed", "healthy"]


def test_a_run_of_no_epoch_is_not_learning() -> None:
    narrow = dict(CONE, center_ratio=0.9999, effective_rank=1.1)
    for diagnostics in (narrow, GOOD):
        untrained = replace(LABELLED, epochs=0, loss=None, diagnostics=diagnostics)
        assert name(untrained) == "not learning"
        assert "no epoch was trained" in reason(untrained)
        assert name(replace(untrained, weights_finite=False)) == "diverged"


@pytest.mark.parametrize(("epochs", "overrides"), [(1, "1 epoch"), (2, "2 epochs")])
def test_reasons_are_one_sentence(epochs: int, overrides: str) -> None:
    for evidence in (LABELLED, UNLABELLED, replace(LABELLED, linear_top1=0.2)):
        sentence = reason(replace(evidence, epochs=epochs))
        assert f"after {overrides}" in sentence
        assert ("epochs" in sentence) == (epochs != 1)
        assert sentence.endswith(".")
        assert "\n" not in sentence
