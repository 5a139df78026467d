"""Each verdict from evidence made by hand, on both sides of its threshold, and from synthetic embeddings."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.monitors import Evidence, judge
from ssl_zoo.monitors.evidence import Classifier, needed_directions, residual_energy
from ssl_zoo.monitors.learning import Accuracy
from ssl_zoo.monitors.verdict import COLLAPSED_ENERGY, DOMINATED_ENERGY

NAN = math.nan
GOOD = {
    "output_std_ratio": 0.9, "center_ratio": 0.4, "residual_ratio": 0.9, "spectral_rank": 40.0, "alignment": 0.2,
}  # fmt: skip
CONE = {
    "output_std_ratio": 0.2, "center_ratio": 0.98, "residual_ratio": 0.18, "spectral_rank": 3.0, "alignment": 0.03,
}  # fmt: skip  # an untrained encoder


def hits(right: int, of: int = 360) -> Accuracy:
    return Accuracy(right / of, (1.0,) * right + (0.0,) * (of - right))


def classifier(trained: int, untrained: int | None, pixels: int | None = None, **names: Any) -> Classifier:
    others = (None if right is None else hits(right) for right in (untrained, pixels))
    return Classifier(names.get("name", "linear probe"), hits(trained), *others)


UNLABELLED = Evidence(epochs=20, loss=0.5, weights_finite=True, diagnostics=GOOD, initial=CONE)
LEARNED = (classifier(342, 306), classifier(345, 330, name="kNN"))
LABELLED = replace(UNLABELLED, classes=10, classifiers=LEARNED)


def name(evidence: Evidence) -> str:
    return judge(evidence).name


def reason(evidence: Evidence) -> str:
    return judge(evidence).reason


def of_embeddings(z_a: Tensor, z_b: Tensor | None = None, **fields: Any) -> Evidence:
    """Evidence of a run with a clear gain and these embeddings (N, D)."""
    diagnostics = measure_embeddings(z_a, z_a if z_b is None else z_b)
    known: dict[str, Any] = {"width": z_a.shape[1], "images": len(z_a), **fields}
    return replace(LABELLED, diagnostics=diagnostics, **known)


def low_rank(directions: int, width: int, images: int = 1024) -> Tensor:
    """Isotropic embeddings in a subspace, of unit length, that use exactly so many directions."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(images, directions, generator=g, dtype=torch.float64)
    return torch.nn.functional.pad(z, (0, width - directions))


def power_law(exponent: float, width: int, images: int = 1024) -> Tensor:
    g = torch.Generator().manual_seed(0)
    scale = torch.arange(1, width + 1, dtype=torch.float64) ** (-exponent / 2)
    return torch.randn(images, width, generator=g, dtype=torch.float64) * scale


def test_healthy_cites_the_figures() -> None:
    verdict = judge(LABELLED)
    assert verdict.name == "healthy"
    for figure in ("95.0%", "85.0%", "10.0 ± ", "95.8%", "91.7%", "20 epochs", "0.90", "spectral rank 40"):
        assert figure in verdict.reason


@pytest.mark.parametrize(("directions", "width"), [(3, 2048), (10, 128), (100, 128), (2, 64)])
def test_an_exact_low_rank_is_partial_for_all_classes_that_it_cannot_hold(
    directions: int, width: int
) -> None:
    evidence = of_embeddings(low_rank(directions, width))
    for classes in (5, 10, 100, 500, 1000, 100_000):
        verdict = judge(replace(evidence, classes=classes))
        holds = directions >= classes - 1
        assert verdict.name == ("healthy" if holds else "partially collapsed")
        assert holds or f"spectral rank {directions} is below the" in verdict.reason


@settings(max_examples=40)
@given(st.integers(2, 60), st.integers(0, 60), st.integers(1, 4))
def test_balanced_one_hot_classes_are_healthy(classes: int, wider: int, each: int) -> None:
    z = torch.eye(classes, classes + wider).repeat(max(each, 4 // classes), 1)
    assert name(of_embeddings(z, classes=classes)) == "healthy"


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize(
    ("width", "images"), [(128, 1024), (600, 300), (300, 300), (64, 64), (16, 17), (8, 1024)]
)
def test_power_laws_are_healthy_for_any_number_of_classes(exponent: float, width: int, images: int) -> None:
    evidence = of_embeddings(power_law(exponent, width, images))
    for classes in (None, 2, 10, 100, 1000, 10_000):
        assert name(replace(evidence, classes=classes)) == "healthy"


@given(
    st.floats(1, 2000), st.integers(2, 3000), st.integers(1, 3000), st.integers(1, 4096), st.integers(2, 4096)
)
def test_more_classes_and_less_rank_never_help(
    rank: float, classes: int, more: int, width: int, images: int
) -> None:
    evidence = replace(LABELLED, width=width, images=images, diagnostics=dict(GOOD, spectral_rank=rank))
    partial = [
        name(replace(evidence, classes=c, diagnostics=dict(GOOD, spectral_rank=r))) == "partially collapsed"
        for r, c in ((rank, classes), (rank, classes + more), (rank / 2, classes))
    ]
    assert not partial[0] or (partial[1] and partial[2])


@given(st.integers(2, 5000), st.integers(1, 5000), st.integers(2, 5000))
def test_the_needed_directions_neither_jump_nor_fall(classes: int, width: int, images: int) -> None:
    need = needed_directions(classes, width, images)
    for wider in (
        needed_directions(classes + 1, width, images),
        needed_directions(classes, width + 1, images),
        needed_directions(classes, width, images + 1),
    ):
        assert -1e-9 <= wider - need <= 1 + 1e-9
    assert need <= min(classes - 1, width, images - 1) + 1e-9


def test_without_labels_a_line_is_too_little() -> None:
    for classes in (None, 1):
        for rank, expected in ((1.0, "partially collapsed"), (2.0, "healthy")):
            evidence = replace(UNLABELLED, classes=classes, diagnostics=dict(GOOD, spectral_rank=rank))
            assert name(evidence) == expected
    assert "more than a line" in reason(replace(UNLABELLED, diagnostics=dict(GOOD, spectral_rank=1.0)))


@given(st.floats(0, 1), st.floats(0, 1))
def test_less_energy_is_never_better(energy: float, other: float) -> None:
    order = ("healthy", "partially collapsed", "collapsed")
    low, high = sorted((energy, other))
    worse, better = (
        name(replace(LABELLED, diagnostics=dict(GOOD, center_ratio=math.sqrt(1 - e)))) for e in (low, high)
    )
    assert order.index(worse) >= order.index(better)


@pytest.mark.parametrize("evidence", [LABELLED, UNLABELLED])
def test_a_dominating_centre_is_partial_and_says_so(evidence: Evidence) -> None:
    for energy, expected in (
        (0.999 * DOMINATED_ENERGY, "partially collapsed"),
        (1.001 * DOMINATED_ENERGY, "healthy"),
    ):
        d = dict(GOOD, center_ratio=center(energy), residual_ratio=math.sqrt(energy), alignment=0.02)
        verdict = judge(replace(evidence, diagnostics=d))
        assert verdict.name == expected
        assert ("the centre that all images share dominates" in verdict.reason) == (expected != "healthy")
    narrow = torch.nn.functional.normalize(
        torch.randn(500, 64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    verdict = judge(of_embeddings(narrow + 3 * torch.eye(64)[0]))
    assert verdict.name == "partially collapsed"
    assert "m_o 0.95 against m_r 0.31" in verdict.reason


@pytest.mark.parametrize("loss", [NAN, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_diverged(loss: float) -> None:
    assert name(replace(LABELLED, loss=loss)) == "diverged"
    assert str(loss) in reason(replace(UNLABELLED, loss=loss))


def test_weights_embeddings_or_features_that_are_not_finite_diverged() -> None:
    nothing = dict.fromkeys(GOOD, NAN)
    assert name(replace(LABELLED, weights_finite=False)) == "diverged"
    assert name(replace(UNLABELLED, diagnostics=nothing)) == "diverged"
    broken = Classifier("kNN", Accuracy(NAN), hits(300))
    assert name(replace(LABELLED, classifiers=(broken,))) == "diverged"
    assert name(replace(UNLABELLED, loss=None)) == "healthy"  # no step made: nothing diverged


def center(energy: float) -> float:
    return math.sqrt(1 - energy)


@pytest.mark.parametrize("evidence", [LABELLED, UNLABELLED])
def test_collapsed_below_the_resolution_of_bf16(evidence: Evidence) -> None:
    just_below = dict(GOOD, output_std_ratio=0.06, center_ratio=center(0.999 * 2**-8))
    just_above = dict(GOOD, center_ratio=center(1.001 * 2**-8), alignment=1e-4)
    assert name(replace(evidence, diagnostics=just_below)) == "collapsed"
    assert name(replace(evidence, diagnostics=just_above)) == "partially collapsed"
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
    evidence = of_embeddings(z_a, z_b)
    assert evidence.diagnostics["output_std_ratio"] < 2**-4
    assert residual_energy(evidence.diagnostics) < COLLAPSED_ENERGY
    assert name(evidence) == "collapsed"
    assert name(of_embeddings(0 * z_a, 0 * z_b)) == "collapsed"


def test_few_channels_are_no_collapse() -> None:
    evidence = of_embeddings(
        torch.eye(5, 2048).repeat(20, 1), classes=5
    )  # perfect, though the std ratio is low
    assert evidence.diagnostics["output_std_ratio"] < 2**-4
    assert name(evidence) == "healthy"


def test_the_untrained_cone_excuses_nothing_and_condemns_nothing() -> None:
    same = replace(LABELLED, diagnostics=dict(GOOD, spectral_rank=4.0))
    assert name(same) == "partially collapsed"
    assert "untrained encoder: 3" in reason(same)
    collapsed_start = dict(CONE, output_std_ratio=0.01, center_ratio=0.99999, spectral_rank=1.0)
    assert name(replace(LABELLED, initial=collapsed_start)) == "healthy"
    nothing = dict.fromkeys(GOOD, NAN)
    assert name(replace(same, initial=nothing)) == "partially collapsed"


def test_no_gain_is_not_learning() -> None:
    for trained, untrained in ((306, 306), (180, 320), (360, 360), (0, 0)):
        flat = replace(LABELLED, classifiers=(classifier(trained, untrained),), initial=GOOD)
        assert name(flat) == "not learning"
    worse = replace(LABELLED, classifiers=(classifier(250, 306), classifier(300, 330, name="kNN")))
    assert name(worse) == "not learning"  # whatever the alignment
    assert "labels show no gain" in reason(worse)
    assert "69.4% against 85.0%, a gain of -15.6 ± " in reason(worse)


def test_without_a_gain_the_reasons_of_a_partial_collapse_are_cited() -> None:
    narrow = dict(GOOD, center_ratio=0.98, residual_ratio=0.2, spectral_rank=3.0)
    flat = replace(LABELLED, classifiers=(classifier(306, 306),), diagnostics=narrow)
    assert name(flat) == "not learning"
    for cited in ("labels show no gain", "m_o 0.98 against m_r 0.20", "spectral rank 3 is below"):
        assert cited in reason(flat)
    assert "dominates" not in reason(replace(flat, diagnostics=GOOD))


def test_one_classifier_is_enough() -> None:
    evidence = replace(
        LABELLED, classifiers=(classifier(306, 306), classifier(345, 320, name="kNN")), initial=GOOD
    )
    assert name(evidence) == "healthy"
    assert "linear probe 85.0% against 85.0%, a gain of 0.0 ± " in reason(evidence)


def test_few_test_images_leave_the_verdict_as_it_is_without_labels() -> None:
    few = tuple(Classifier(c, hits(8, 10), hits(7, 10)) for c in ("linear probe", "kNN"))
    for initial in (CONE, GOOD):
        labelled = replace(LABELLED, classifiers=few, initial=initial)
        assert name(labelled) == name(replace(UNLABELLED, initial=initial))
        assert reason(labelled).startswith("the test images are too few to tell")


@pytest.mark.parametrize(
    "missing",
    [
        {},
        {"classes": 10},
        {"classes": 10, "classifiers": (classifier(324, None),)},
        {"classes": 10, "classifiers": (Classifier("kNN", hits(324), Accuracy(NAN)),)},
        {"classes": 1, "classifiers": (classifier(360, 360),)},
    ],
)
def test_without_accuracies_the_alignment_decides(missing: dict[str, Any]) -> None:
    evidence = replace(UNLABELLED, **missing)
    start = CONE["alignment"] / (2 * (1 - CONE["center_ratio"] ** 2))  # 0.38 of the distance between images
    spread = 2 * (1 - GOOD["center_ratio"] ** 2)
    for share, expected in ((0.93, "healthy"), (0.95, "not learning"), (1.1, "not learning")):
        aligned = replace(evidence, diagnostics=dict(GOOD, alignment=share * start * spread))
        assert name(aligned) == expected
        how = "labels" if missing.get("classes") in (None, 1) else "accuracies of both encoders"
        assert reason(aligned).startswith(f"judged without {how}, ")
        assert "0.38" in reason(aligned)


@pytest.mark.parametrize("initial", [None, dict.fromkeys(GOOD, NAN)])
def test_without_anything_to_compare_with_it_says_so(initial: dict[str, float] | None) -> None:
    verdict = judge(replace(UNLABELLED, initial=initial))
    assert verdict.name == "healthy"
    assert "judged without labels or an untrained encoder" in verdict.reason


def test_raw_pixels_ahead_are_said_and_decide_nothing() -> None:
    """Animal silhouettes: kNN 71.9 % against 78.8 % on pixels."""
    behind = classifier(259, 200, 284, name="kNN")
    for pixels, said in ((284, True), (262, False), (259, False), (200, False)):
        evidence = replace(LABELLED, classifiers=(LEARNED[0], replace(behind, pixels=hits(pixels))))
        assert name(evidence) == "healthy"
        assert ("raw pixels are ahead" in reason(evidence)) == said
    assert "raw pixels are ahead of the trained encoder: kNN 78.9%, 6.9 ± " in reason(
        replace(LABELLED, classifiers=(behind,))
    )
    partial = replace(LABELLED, classifiers=(behind,), diagnostics=dict(GOOD, spectral_rank=3.0))
    assert "raw pixels are ahead" in reason(partial)


def test_the_first_rule_that_applies_gives_the_verdict() -> None:
    worst = replace(
        LABELLED,
        loss=NAN,
        diagnostics=dict(GOOD, center_ratio=1.0, output_std_ratio=0.0, spectral_rank=1.0),
        classifiers=(classifier(36, 306),),
    )
    repairs: list[dict[str, Any]] = [
        {"loss": 0.5},
        {"diagnostics": dict(GOOD, spectral_rank=1.0)},
        {"classifiers": LEARNED},
        {"diagnostics": GOOD},
    ]
    seen = [name(worst)]
    for repair in repairs:
        worst = replace(worst, **repair)
        seen.append(name(worst))
    assert seen == ["diverged", "collapsed", "not learning", "partially collapsed", "healthy"]


def test_a_run_of_no_epoch_is_not_learning() -> None:
    narrow = dict(CONE, center_ratio=0.9999, spectral_rank=1.0)
    for diagnostics in (narrow, GOOD):
        untrained = replace(LABELLED, epochs=0, loss=None, diagnostics=diagnostics)
        assert name(untrained) == "not learning"
        assert "no epoch was trained" in reason(untrained)
        assert name(replace(untrained, weights_finite=False)) == "diverged"


@pytest.mark.parametrize(("epochs", "said"), [(1, "1 epoch"), (2, "2 epochs")])
def test_reasons_are_one_sentence(epochs: int, said: str) -> None:
    for evidence in (
        LABELLED,
        UNLABELLED,
        replace(LABELLED, classifiers=(classifier(72, 306),)),
        replace(LABELLED, diagnostics=dict(GOOD, spectral_rank=1.0)),
        replace(LABELLED, diagnostics=dict(GOOD, center_ratio=1.0)),
    ):
        sentence = reason(replace(evidence, epochs=epochs))
        assert f"after {said}" in sentence
        assert ("epochs" in sentence) == (epochs != 1)
        assert sentence.endswith(".")
        assert "\n" not in sentence
