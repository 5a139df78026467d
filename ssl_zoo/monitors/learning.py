"""Evidence of learning: what is better than in the untrained encoder, and by more than chance.

Up to three differences are measured, each on the same images before and after training: the gains of the linear probe
and of kNN, and the fall of the relative alignment (how near two views of an image are). With n images and g_i the
difference on image i, the probe's a mean over R draws of the labels with the difference d_r in draw r:

    accuracy    SE^2 = ((sum g_i^2 + 1) - (sum g_i)^2 / (n + 2)) / (n + 2)^2  +  var(d_r) / R
    alignment   R = mean(a) / (2 mean(c)),  u_i = (a_i - 2 R c_i) / (2 mean(c)),  SE^2 = var(u_i - u'_i) / n

The same n test images serve all draws, so the spread over the draws says nothing about the choice of those images, and
both terms are needed. The first is the paired variance of a mean, smoothed by half an image in each cell of the
hit-or-miss table, so that a few images without a difference are not taken for certainty [0]. a_i is the squared
distance between the views of image i, c_i the mean of their squared distances from the centre, u_i the influence of
image i on the ratio (the delta method), u'_i that of the untrained encoder.

**One error rate.** A difference counts when it exceeds its margin, t SE with the one-sided level ERROR / m, m being the
number of differences that were measured (Bonferroni; for "any of them" Holm's procedure is the same). So an encoder
that is as good as an untrained one is taken for learning in at most 2.3 % of the cases, however much was measured. One
difference alone has 2 standard errors, three have 2.43. Of the alignment a fall of SMALLEST_FALL is asked besides: that
of untrained encoders has a standard deviation of 3 % over seeds (digits, SimSiam, 8 seeds: 0.764 +- 0.025), so a
smaller one could come from another seed.

**Labels before alignment.** Every loss draws views together, so alignment is the weaker evidence. With labels:

1. a gain above its margin: learning.
2. else, an accuracy that falls by more than its margin, or all gains certainly below SMALLEST_GAIN (estimate + margin):
   not learning, whatever the alignment.
3. else the test images are too few to tell, and the alignment decides as it does without labels.

So the mere arrival of labels changes nothing. For a run whose accuracies rise by g, rule 2 needs g + margin <
SMALLEST_GAIN, and rule 1 comes first where g > margin: with g above half of SMALLEST_GAIN, half a point, there is no
number of test images at which it would be called not learning.

- [0] Agresti and Min, 2005, Simple improved confidence intervals for comparing matched proportions
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

from scipy.stats import t as student
from torch import Tensor

from ssl_zoo.metrics import Embeddings

__all__ = [
    "Accuracy",
    "Difference",
    "Distances",
    "Learning",
    "accuracy_gain",
    "alignment_fall",
    "has_learned",
    "margin",
]

ERROR = 0.0228  # one-sided, of the whole: beyond 2 standard deviations of a normal distribution
SMALLEST_GAIN = 0.01  # of accuracy: twice the half point below which two accuracies count as equal in suites
SMALLEST_FALL = 1 / 16  # of the untrained encoder's relative alignment: 2 standard deviations over seeds


@dataclass(frozen=True)
class Accuracy:
    """Top-1 of a classifier on frozen features, a fraction of 1, with what its standard error follows from."""

    top1: float
    hits: Sequence[
        float
    ] = ()  # per test image, the fraction of draws that got it right; () where not measured
    draws: Sequence[float] = ()  # per draw of the labels


@dataclass(frozen=True)
class Distances:
    """Squared distances of the unit embeddings of N images, from which the alignment's standard error follows."""

    views: Tensor  # (N,) between the two views
    center: Tensor  # (N,) from the centre, mean of both views

    @classmethod
    def between(cls, z_a: Tensor, z_b: Tensor) -> Distances:
        """Measures the embeddings (N, D) of two views of the same images."""
        a, b = Embeddings(z_a), Embeddings(z_b)
        center = (a.residuals.square().sum(dim=1) + b.residuals.square().sum(dim=1)) / 2
        return cls((a.unit - b.unit).square().sum(dim=1).cpu(), center.cpu())

    @property
    def influence(self) -> Tensor:
        """(N,) influence of each image on mean(views) / (2 mean(center))."""
        twice = 2 * self.center.mean()
        return (self.views - self.views.mean() / twice * 2 * self.center) / twice


class Difference(NamedTuple):
    """Improvement from one figure to another, positive where the first is the better one."""

    name: str  # of the figure
    first: float
    second: float
    estimate: float
    error: float  # standard error; 0 where nothing is known of it
    freedom: float = math.inf  # degrees of freedom of the error


def margin(difference: Difference, of: int) -> float:
    """Returns what one of several differences must exceed, for ERROR that any does by chance."""
    if difference.error == 0:
        return 0.0
    return _standard_errors(of, difference.freedom) * difference.error


@cache
def _standard_errors(of: int, freedom: float) -> float:
    return float(student.isf(ERROR / of, freedom))


def accuracy_gain(name: str, first: Accuracy, second: Accuracy) -> Difference:
    """Returns by how much the first accuracy is higher, on the same test images and draws of the labels."""
    variance = 0.0
    if first.hits and second.hits:
        gains = [a - b for a, b in zip(first.hits, second.hits, strict=True)]
        n = len(gains)
        variance += (sum(g * g for g in gains) + 1 - sum(gains) ** 2 / (n + 2)) / (n + 2) ** 2
    if len(first.draws) > 1 and len(second.draws) > 1:
        gains = [a - b for a, b in zip(first.draws, second.draws, strict=True)]
        variance += statistics.variance(gains) / len(gains)
    return Difference(name, first.top1, second.top1, first.top1 - second.top1, math.sqrt(variance))


def alignment_fall(
    first: float,
    second: float,
    first_distances: Distances | None,
    second_distances: Distances | None,
    *,
    paired: bool = True,
) -> Difference:
    """Returns by how much the first relative alignment is lower.

    Paired, both are of the same images and views. Else their variances add up, and the degrees of freedom are those
    of the smaller sample, which Welch's formula never falls below.
    """
    error, freedom = 0.0, math.inf
    if first_distances is not None and second_distances is not None and not paired:
        influences = [distances.influence for distances in (first_distances, second_distances)]
        variances = [float(each.var()) / len(each) for each in influences]
        error, freedom = math.sqrt(sum(variances)), float(min(map(len, influences)) - 1)
    elif first_distances is not None and second_distances is not None:
        influence = first_distances.influence - second_distances.influence  # (N,)
        error, freedom = float(influence.std()) / math.sqrt(len(influence)), float(len(influence) - 1)
    if not math.isfinite(error):  # all embeddings equal: no ratio
        error = 0.0
    return Difference("alignment", first, second, second - first, error, freedom)


class Learning(NamedTuple):
    """Whether something was learned, and which evidence decided."""

    learned: bool
    by: Literal["labels", "alignment"]


def has_learned(gains: Sequence[Difference], fall: Difference | None) -> Learning | None:
    """Decides whether the differences to the untrained encoder show learning; None where nothing was measured.

    Args:
        gains: of accuracies.
        fall: of the relative alignment.
    """
    of = len(gains) + (fall is not None)
    if any(gain.estimate > margin(gain, of) for gain in gains):
        return Learning(True, "labels")
    falls = any(gain.estimate < -margin(gain, of) for gain in gains)
    if falls or (gains and all(gain.estimate + margin(gain, of) < SMALLEST_GAIN for gain in gains)):
        return Learning(False, "labels")
    if fall is None:
        return Learning(False, "labels") if gains else None
    return Learning(fall.estimate > max(margin(fall, of), SMALLEST_FALL * fall.second), "alignment")
