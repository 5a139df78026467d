"""Verdict on a run, a word and a sentence: healthy, collapsed, partially collapsed, diverged or not learning.

The rules are asked in this order, and the first that applies gives the verdict. With few labels, many or none they are
the same; labels only say how many directions are needed, and add evidence of learning.

1. diverged: the loss, a weight, an embedding or a feature is not finite.

2. collapsed: residual energy 1 - m_o^2 < 2^-8. m_o^2 is the mean cosine similarity over pairs of images, and
   2^-8 is the step of bf16 just below 1. So different images have, on average, the same embedding up to the
   rounding of the precision that networks are trained in. Since output_std_ratio^2 <= 1 - m_o^2 (Jensen, with
   equality where all channels spread alike; up to N / (N - 1)), the output std ratio is then below 2^-4 =
   0.0625. The converse fails: 5 classes, one-hot in 2,048 channels, have a ratio of 0.04 and are no collapse.
   So the rule reads the energy and cites the ratio.

3. not learning: nothing that was measured is better than in the untrained encoder by more than its margin; see
   `learning`, which has the evidence and its one error rate. Where rule 4 holds too, its reasons stand in the sentence.

4. partially collapsed: it learned something, but

   - the centre dominates: residual energy < 1/5, that is, four times as much energy in the centre that all images
     share as in what tells them apart. Then m_o > 2 m_r, since m_r^2 <= 1 - m_o^2 (Jensen): the centre vector is more
     than twice as long as the residuals ("m_o much larger than m_r" [1]), and different images have a mean cosine
     above 0.8. The lowest energy of a healthy run among the published ones is 0.62 (SwAV on digits); C balanced
     classes at right angles have 1 - 1/C, at least 1/2; classes in proportions p_c have 1 - sum p_c^2, which is
     below 1/5 where one class has nine images of ten.
   - or directions are missing: the spectral rank is below

         min(C - 1, 1 / (1/D + 1/(N - 1)))

     where C counts the classes among the images diagnosed. C - 1 directions are the least in which C class means
     lie at equal and largest angles, the simplex that trained classifiers converge to [0]; without labels it is
     2, as along a single line images differ by one number. The second term is what N embeddings of width D can
     show: the participation ratio of their sampled spectrum where all directions are equal (an isotropic
     Gaussian; Marchenko and Pastur). Both terms grow with C, D and N and neither jumps, so more classes never
     turn "partially collapsed" into "healthy".

5. healthy: none of these.

Raw pixels decide nothing, as an encoder can learn and still be worse than they; the sentence says so wherever a
classifier on pixels is ahead by more than its margin.

The verdict is about the trained encoder. An untrained one maps all images into a narrow cone: on digits,
`resnet10t` has a residual energy of 0.02 and would be partially collapsed by rule 4. So a run of no epoch is "not
learning" and no other rule is asked; else the untrained encoder is the measure of what was learned, never
of what a collapse is, and the sentence cites its figure.

- [0] Papyan et al., 2020, https://arxiv.org/abs/2008.08186
- [1] Zhang et al., 2022, https://arxiv.org/abs/2203.16262
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

from .evidence import Evidence, is_finite, needed_directions, residual_energy
from .learning import Difference, accuracy_gain, has_learned, margin

__all__ = [
    "COLLAPSED_ENERGY", "DOMINATED_ENERGY", "SETTLED_STEPS", "Verdict", "VerdictName", "has_fallen", "is_collapsed",
    "judge",
]  # fmt: skip

# The thresholds; rules 2 and 4 above derive them.
COLLAPSED_ENERGY = 2.0**-8
DOMINATED_ENERGY = 1 / 5
# Before, no collapse is noticed: in evaluation mode a BN layer takes its running mean, of which the part 0.9^n is still
# the initial 0 after n steps, and 0.9^53 < 2^-8.
SETTLED_STEPS = 53

VerdictName = Literal["healthy", "collapsed", "partially collapsed", "diverged", "not learning"]


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
        ("not learning", _not_learning),
        ("partially collapsed", _partially_collapsed),
    )
    for name, rule in rules:
        reason = rule(evidence)
        if reason is not None:
            return Verdict(name, reason)
    return Verdict("healthy", f"{_learning(evidence)}; {_state(evidence)}{_pixels(evidence)}.")


def is_collapsed(figures: Mapping[str, float]) -> bool:
    """Whether embeddings with these metrics are collapsed, by rule 2."""
    return residual_energy(figures) < COLLAPSED_ENERGY


def has_fallen(energy: float, highest: float) -> bool:
    """Whether a residual energy is that of a collapse, in a training whose highest so far is given.

    See `Evidence.energy_has_fallen`: the untrained encoder's is included.
    """
    return energy < min(COLLAPSED_ENERGY, highest / 2)


# Each rule returns its sentence, or None where it does not apply.
def _diverged(e: Evidence) -> str | None:
    is_sound = {
        f"the loss ({e.loss})": e.loss is None or math.isfinite(e.loss),
        "a weight": e.weights_finite,
        "an embedding": is_finite(e.diagnostics),
        "a feature": all(math.isfinite(classifier.trained.top1) for classifier in e.classifiers),
    }
    broken = [part for part, sound in is_sound.items() if not sound]
    return f"not finite after {_epochs(e)}: {', '.join(broken)}." if broken else None


def _not_trained(e: Evidence) -> str | None:
    return "no epoch was trained: this is the untrained encoder." if e.epochs == 0 else None


def _collapsed(e: Evidence) -> str | None:
    if not is_collapsed(e.diagnostics) or not e.energy_has_fallen:
        return None
    return (
        f"all outputs are one vector up to the rounding of bf16: residual energy "
        f"{residual_energy(e.diagnostics):.2g} is below {COLLAPSED_ENERGY:.2g} after {_epochs(e)}"
        f"{_untrained(e, residual_energy)}; output std ratio {e.diagnostics['output_std_ratio']:.2g}."
    )


def _not_learning(e: Evidence) -> str | None:
    learning = has_learned(e.gains, e.fall)
    if learning is None or learning.learned:
        return None
    return "; ".join([_learning(e), _state(e), *_missing(e)]) + f"{_pixels(e)}."


def _partially_collapsed(e: Evidence) -> str | None:
    faults = _missing(e)
    return f"{'; '.join(faults)}; {_learning(e)}{_pixels(e)}." if faults else None


# The parts of the sentences.
def _missing(e: Evidence) -> list[str]:
    """Returns by which parts of rule 4 the embeddings are partially collapsed; none of a healthy run."""
    d, faults = e.diagnostics, []
    if residual_energy(d) < DOMINATED_ENERGY and e.energy_has_fallen:
        faults.append(
            f"the centre that all images share dominates: residual energy {residual_energy(d):.2g} is below "
            f"{DOMINATED_ENERGY:g}{_untrained(e, residual_energy)}, m_o {d['center_ratio']:.2f} against m_r "
            f"{d['residual_ratio']:.2f}"
        )
    need = needed_directions(e.classes, e.width, e.images)
    if d["spectral_rank"] < need:
        whose = f"{e.classes} classes" if e.labelled else "embeddings that are more than a line"
        faults.append(
            f"directions are missing: spectral rank {d['spectral_rank']:.3g} is below the {need:.4g} that {whose} "
            f"need{_untrained(e, itemgetter('spectral_rank'))}"
        )
    return faults


def _learning(e: Evidence) -> str:
    """Returns all that was measured of learning, with margins, and what it comes to."""
    gains, fall = e.gains, e.fall
    of = len(gains) + (fall is not None)
    if not of:
        return f"judged without {_unknown(e)} or an untrained encoder's embeddings, after {_epochs(e)}"
    parts = [
        f"{gain.name} {gain.first:.1%} against {gain.second:.1%}, a gain of {_points(gain, of)}"
        for gain in gains
    ]
    if fall is not None:
        parts.append(
            f"squared distance between views of an image {fall.first:.2g} of that between images against "
            f"{fall.second:.2g}, a fall of {fall.estimate:.2g} ± {margin(fall, of):.1g}"
        )
    return f"{_decided(e, gains, fall)} after {_epochs(e)}, against the {e.start}: {'; '.join(parts)}"


def _decided(e: Evidence, gains: list[Difference], fall: Difference | None) -> str:
    """Returns what the differences to the untrained encoder come to."""
    learning = has_learned(gains, fall)
    assert learning is not None
    if learning.by == "labels":
        return "labels show a gain" if learning.learned else "labels show no gain"
    views = "nearer" if learning.learned else "not nearer"
    why = "the test images are too few to tell" if gains else f"judged without {_unknown(e)}"
    return f"{why}, views of an image are {views}"


def _pixels(e: Evidence) -> str:
    """Returns which classifiers are better on raw pixels, beyond their margins."""
    if not e.labelled:
        return ""
    leads = [
        accuracy_gain(classifier.name, classifier.pixels, classifier.trained)
        for classifier in e.classifiers
        if classifier.pixels is not None and math.isfinite(classifier.pixels.top1)
    ]
    ahead = [lead for lead in leads if lead.estimate > margin(lead, len(leads))]
    if not ahead:
        return ""
    parts = (f"{lead.name} {lead.first:.1%}, {_points(lead, len(leads))} more" for lead in ahead)
    return f"; raw pixels are ahead of the trained encoder: {', '.join(parts)}"


def _points(difference: Difference, of: int) -> str:
    unknown = " (no standard error known)" if difference.error == 0 else ""
    return f"{100 * difference.estimate:.1f} ± {100 * margin(difference, of):.1f} points{unknown}"


def _state(e: Evidence) -> str:
    d = e.diagnostics
    state = f"output std ratio {d['output_std_ratio']:.2f} and spectral rank {d['spectral_rank']:.3g}"
    if residual_energy(d) >= DOMINATED_ENERGY or e.energy_has_fallen:
        return state
    still = (
        f"{state}; the centre that all images share still dominates (residual energy {residual_energy(d):.2g}"
    )
    return f"{still}, at most {e.highest:.2g} before): train on"


def _unknown(e: Evidence) -> str:
    return "accuracies of both encoders" if e.labelled else "labels"


def _epochs(e: Evidence) -> str:
    return "training" if e.epochs is None else f"{e.epochs} epoch{'' if e.epochs == 1 else 's'}"


def _untrained(e: Evidence, figure: Callable[[Mapping[str, float]], float]) -> str:
    if e.initial is None or not is_finite(e.initial):
        return ""
    return f" ({e.start}: {figure(e.initial):.3g})"
