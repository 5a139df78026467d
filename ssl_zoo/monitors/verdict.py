"""Verdict on a run, a word and a sentence: healthy, collapsed, partially collapsed, diverged or not learning.

The rules are asked in this order, and the first that applies gives the verdict:

1. diverged: the loss, a weight or an embedding is not finite.

2. collapsed: residual energy 1 - m_o^2 < 2^-8. m_o^2 is the mean cosine similarity over pairs of images, and
   2^-8 is the step of bf16 just below 1. So different images have, on average, the same embedding up to the
   rounding of the precision that networks are trained in. Since output_std_ratio^2 <= 1 - m_o^2 (Jensen, with
   equality where all channels spread alike; up to N / (N - 1)), the output std ratio is then below 2^-4 =
   0.0625. The converse fails: 5 classes, one-hot in 2,048 channels, have a ratio of 0.04 and are no collapse.
   So the rule reads the energy and cites the ratio.

3. not learning, with labels: the linear probe gains no more over the untrained encoder than chance allows,
   2 standard errors (one-sided 2.3 %). Two things vary. The same n test images serve all draws of the labels,
   so the spread over the R draws says nothing about the choice of those images; both are needed. With g_i the
   gain on image i (its fraction of hits over the draws, trained minus untrained) and d_r that in draw r:

       SE^2 = ((sum g_i^2 + 1) - (sum g_i)^2 / (n + 2)) / (n + 2)^2  +  var(d_r) / R

   The first term is the paired variance of a mean over n images, smoothed by half an image in each cell of
   the hit-or-miss table, so that a few images without a difference are not taken for certainty [1]. Where the
   hits are not known, it is the binomial (p (1 - p) + q (1 - q)) / (n + 2) of two accuracies, smoothed alike
   [2]. That one is an upper bound: it ignores that both encoders get much the same images right and that an
   average over draws varies less than one hit or miss. On digits (n = 360) it is 2.4 points, the paired one
   1.0. A term whose figures are missing is left out.

4. partially collapsed (dimensional): it learned something, but the effective rank is below C - 1 for C
   classes. That many directions are the least in which C class means can lie at equal and largest angles, the
   simplex that trained classifiers converge to [0]. Asked only where the embeddings could show it, with C - 1
   at most half of the min(D, N - 1) directions they have: even an isotropic Gaussian of N = D reaches only
   0.81 of them, and healthy spectra decay. Otherwise, and without labels, it must reach 2: below that a single
   direction is used on average.

5. not learning, without labels: two views of an image are no nearer to each other, relative to different
   images, than they are for the untrained encoder (`relative_alignment`).

6. healthy: none of these.

The verdict is about the trained encoder. An untrained one maps all images into a narrow cone: on digits,
`resnet10t` has a residual energy of 0.001 and looks collapsed by rule 2. So a run of no epoch is "not
learning" and no other rule is asked; else the untrained encoder is the measure of what was learned, never
of what a collapse is, and the sentence cites its figure.

- [0] Papyan et al., 2020, https://arxiv.org/abs/2008.08186
- [1] Agresti and Min, 2005, Simple improved confidence intervals for comparing matched proportions
- [2] Agresti and Caffo, 2000, https://doi.org/10.1080/00031305.2000.10474560
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

import torch

__all__ = ["Evidence", "Verdict", "VerdictName", "judge", "relative_alignment", "residual_energy"]

# The thresholds; rules 2 to 4 above derive them.
COLLAPSED_ENERGY = 2.0**-8
UNLABELLED_RANK = 2.0
SHOWABLE = 0.5  # fraction of the directions there are that a healthy spectrum can be asked to fill
STANDARD_ERRORS = 2.0

READ = ("output_std_ratio", "center_ratio", "effective_rank", "alignment")  # metrics that the rules read
VerdictName = Literal["healthy", "collapsed", "partially collapsed", "diverged", "not learning"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Figures by which a run is judged; None is what was not measured. Accuracies are fractions of 1."""

    epochs: int  # trained
    loss: float | None  # the last; None if no step was made
    weights_finite: bool
    diagnostics: Mapping[str, float]  # metrics of the embeddings, by key
    initial: Mapping[str, float] | None  # the untrained encoder's, of the same images and views
    directions: int | None = None  # min(D, N - 1) of the diagnosed embeddings; None: many more than C
    classes: int | None = None  # C; one class tells as much as no labels
    linear_top1: float | None = None  # the last epoch's, mean over the draws; nan: features not finite
    random_linear_top1: float | None = None  # the untrained encoder's
    linear_draws: tuple[float, ...] | None = None  # top-1 per draw, paired with those of the next
    random_linear_draws: tuple[float, ...] | None = None
    linear_hits: tuple[float, ...] | None = None  # per test image, `ProbeResult.hits`
    random_linear_hits: tuple[float, ...] | None = None
    test_size: int | None = None  # n, the images behind the accuracies
    knn_top1: float | None = None  # decides nothing and stands beside the probe's
    random_knn_top1: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Word about a run, and the figures behind it in a sentence."""

    name: VerdictName
    reason: str


def judge(evidence: Evidence) -> Verdict:
    """Returns the first verdict whose rule applies; the rules stand at the top of this file."""
    rules: tuple[tuple[VerdictName, Callable[[Evidence], str | None]], ...] = (
        ("diverged", _diverged),
        ("not learning", _not_trained),
        ("collapsed", _collapsed),
        ("not learning", _gains_nothing),
        ("partially collapsed", _partially_collapsed),
        ("not learning", _views_no_nearer),
    )
    for name, rule in rules:
        reason = rule(evidence)
        if reason is not None:
            return Verdict(name, reason)
    return Verdict("healthy", _healthy(evidence))


def residual_energy(figures: Mapping[str, float]) -> float:
    """1 - m_o^2: the fraction of a unit vector's squared length that tells images apart, in [0, 1].

    It is also 1 minus the mean cosine similarity over all pairs of images (each with itself included).
    """
    return max(0.0, 1.0 - figures["center_ratio"] ** 2)


def relative_alignment(figures: Mapping[str, float]) -> float:
    """Squared distance between views of an image over that between images, 2 (1 - m_o^2).

    0: the views coincide. 1: they are as far apart as any two images, as are embeddings that are all equal. It does
    not fall when a network just shrinks all distances, as the alignment does.
    """
    energy = residual_energy(figures)
    if energy < torch.finfo(torch.float32).eps ** 2:  # equal up to rounding
        return 1.0
    return figures["alignment"] / (2.0 * energy)


# Each rule returns its sentence, or None where it does not apply.
def _diverged(e: Evidence) -> str | None:
    is_finite = {
        f"the loss ({e.loss})": e.loss is None or math.isfinite(e.loss),
        "a weight": e.weights_finite,
        "an embedding": _finite(e.diagnostics),
        "a feature": e.linear_top1 is None or math.isfinite(e.linear_top1),
    }
    broken = [part for part, finite in is_finite.items() if not finite]
    return f"not finite after {_epochs(e)}: {', '.join(broken)}." if broken else None


def _not_trained(e: Evidence) -> str | None:
    return "no epoch was trained: this is the untrained encoder." if e.epochs == 0 else None


def _collapsed(e: Evidence) -> str | None:
    energy = residual_energy(e.diagnostics)
    if energy >= COLLAPSED_ENERGY:
        return None
    return (
        f"all outputs are one vector up to the rounding of bf16: residual energy {energy:.2g} is below "
        f"{COLLAPSED_ENERGY:.2g} after {_epochs(e)}{_untrained(e, residual_energy)}; "
        f"output std ratio {e.diagnostics['output_std_ratio']:.2g}."
    )


def _partially_collapsed(e: Evidence) -> str | None:
    need, why = UNLABELLED_RANK, "are more than a single one"
    simplex = (e.classes or 0) - 1.0  # directions
    if simplex >= 1 and (e.directions is None or simplex <= SHOWABLE * e.directions):
        need, why = simplex, f"{e.classes} classes take at equal margins"
    if e.diagnostics["effective_rank"] >= need:
        return None
    return (
        f"effective rank {e.diagnostics['effective_rank']:.3g} is below the {need:g} directions that {why}, "
        f"after {_epochs(e)}{_untrained(e, itemgetter('effective_rank'))}; "
        f"output std ratio {e.diagnostics['output_std_ratio']:.2f}."
    )


def _gains_nothing(e: Evidence) -> str | None:
    if (gain := _gain(e)) is None:
        return None
    p, q, error = gain
    if p - q > STANDARD_ERRORS * error:
        return None
    return f"{_accuracies(e, p, q)}, not more than {_margin(error)}{_knn(e)}; {_state(e)}."


def _views_no_nearer(e: Evidence) -> str | None:
    if _gain(e) is not None or e.initial is None or not _finite(e.initial):
        return None
    now, before = relative_alignment(e.diagnostics), relative_alignment(e.initial)
    if now < before:
        return None
    return (
        f"judged without {_unknown(e)}: the squared distance between views of an image is {now:.2g} of that "
        f"between images after {_epochs(e)}, not less than the untrained encoder's {before:.2g}."
    )


def _healthy(e: Evidence) -> str:
    d, state = e.diagnostics, _state(e)
    if (gain := _gain(e)) is not None:
        p, q, error = gain
        return f"{_accuracies(e, p, q)}, more than {_margin(error)}{_knn(e)}; {state}."
    if e.initial is None or not _finite(e.initial):
        return (
            f"judged without {_unknown(e)} or an untrained encoder's embeddings, after {_epochs(e)}: {state}."
        )
    return (
        f"judged without {_unknown(e)}: the squared distance between views of an image is "
        f"{relative_alignment(d):.2g} of that between images after {_epochs(e)}, less than the untrained "
        f"encoder's {relative_alignment(e.initial):.2g}; {state}."
    )


def _gain(e: Evidence) -> tuple[float, float, float] | None:
    """Returns accuracy trained and untrained and the standard error of their difference; None if not measured."""
    p, q = e.linear_top1, e.random_linear_top1
    if not _labelled(e) or p is None or q is None or not math.isfinite(q):
        return None
    variance = 0.0
    if e.linear_hits and e.random_linear_hits:
        gains = [a - b for a, b in zip(e.linear_hits, e.random_linear_hits, strict=True)]
        n = len(gains)
        variance += (sum(g * g for g in gains) + 1 - sum(gains) ** 2 / (n + 2)) / (n + 2) ** 2
    elif e.test_size is not None:
        n = e.test_size
        smoothed = [(n * accuracy + 1) / (n + 2) for accuracy in (p, q)]
        variance += sum(accuracy * (1 - accuracy) for accuracy in smoothed) / (n + 2)
    if e.linear_draws and e.random_linear_draws and len(e.linear_draws) > 1:
        gains = [a - b for a, b in zip(e.linear_draws, e.random_linear_draws, strict=True)]
        variance += statistics.variance(gains) / len(gains)
    return p, q, math.sqrt(variance)


def _accuracies(e: Evidence, p: float, q: float) -> str:
    return (
        f"linear top-1 {p:.1%} after {_epochs(e)} against {q:.1%} of the untrained encoder: a gain of "
        f"{100 * (p - q):.1f} points"
    )


def _knn(e: Evidence) -> str:
    if e.knn_top1 is None or e.random_knn_top1 is None:
        return ""
    return f"; kNN {e.knn_top1:.1%} against {e.random_knn_top1:.1%}"


def _state(e: Evidence) -> str:
    d = e.diagnostics
    return f"output std ratio {d['output_std_ratio']:.2f} and effective rank {d['effective_rank']:.3g}"


def _margin(error: float) -> str:
    if error == 0:
        return "0 (neither test size nor draws known, so no standard error)"
    return f"{STANDARD_ERRORS:g} standard errors ({100 * STANDARD_ERRORS * error:.1f})"


def _labelled(e: Evidence) -> bool:
    return e.classes is not None and e.classes > 1


def _unknown(e: Evidence) -> str:
    return "linear probes of both encoders" if _labelled(e) else "labels"


def _finite(figures: Mapping[str, float]) -> bool:
    return all(math.isfinite(figures[key]) for key in READ)


def _epochs(e: Evidence) -> str:
    return f"{e.epochs} epoch{'' if e.epochs == 1 else 's'}"


def _untrained(e: Evidence, figure: Callable[[Mapping[str, float]], float]) -> str:
    if e.initial is None or not _finite(e.initial):
        return ""
    return f" (untrained encoder: {figure(e.initial):.2g})"
