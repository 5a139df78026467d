"""Causes among the switches that ask why Siamese methods do not collapse: variants that the paper finds to collapse.

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Tables 2 to 4)
- [1] Tian et al., 2021, https://arxiv.org/abs/2102.06810 (Tables 1, 6 and 7)
"""

from __future__ import annotations

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf

__all__ = [
    "cut_spectrum",
    "decorrelation_alone",
    "gradient_parts_left_out",
    "least_squares_predictor",
    "misplaced_predictor",
    "nearly_identity",
]

CUT = 0.05  # shift of the eigenvalues, with eps=0: 65.3 % against 77.1 without (Tian et al., Table 7)
LIFTED = 0.05  # eps from which cut eigenvalues are no longer small
DOMINATING = 10.0  # eps at which W is the identity, but for its scale, to 10 %


@explains("collapsed", "partially collapsed", "not learning")
def gradient_parts_left_out(config: RunConfig, facts: Facts) -> Remedy | None:
    """Parts of the gradient that are not kept, or a dummy term: Zhang et al., Tables 3 and 4, Conjecture 1."""
    extra = leaf(config, "method.extra_gradient")
    if extra is None or extra.of == "none" or all(extra.parts.values()):
        return None
    missing = [name for name, kept in extra.parts.items() if not kept]
    whole = " ".join(f"method.extra_gradient.{name}=true" for name in missing)
    if extra.of == "anchor":
        return Remedy(
            "dummy term",
            "method.extra_gradient.of=anchor: the loss brings no two views of an image together",
            f"method.extra_gradient.of=none {whole}",
        )
    return Remedy(
        "parts of the gradient left out",
        f"method.extra_gradient keeps {extra.title} and leaves out {' and '.join(missing)}, so that it is not the "
        "gradient of the whole loss",
        whole,
    )


@explains("collapsed", "partially collapsed", "not learning")
def misplaced_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """A predictor on the target, or on both sides without an inverse: Zhang et al., Table 2."""
    predictor = leaf(config, "method.predictor")
    on = leaf(config, "method.predictor.on")
    if on in (None, "anchor") or predictor.inverse or leaf(config, "method.negatives") != "none":
        return None
    if leaf(config, "method.assignment") == "sinkhorn":
        return None
    side = "on the target" if on == "target" else "on both sides"
    why = "the anchor's gradient passes none" if on == "target" else "the two sides do not differ by it"
    return Remedy(
        f"predictor {side}",
        f"method.predictor.on={on}: {why}, as without a predictor",
        "method.predictor.on=anchor",
    )


@explains("collapsed", "partially collapsed", "not learning")
def decorrelation_alone(config: RunConfig, facts: Facts) -> Remedy | None:
    """A decorrelation as the whole loss, which says nothing of an image's views."""
    if not leaf(config, "method.decorrelation.alone"):
        return None
    return Remedy(
        "decorrelation alone",
        "method.decorrelation.alone=true: the loss brings no two views of an image together",
        "method.decorrelation.alone=false method.predictor.kind=mlp",
    )


@explains("collapsed", "partially collapsed", "not learning")
def cut_spectrum(config: RunConfig, facts: Facts) -> Remedy | None:
    """Small eigenvalues of DirectPred cut off: Tian et al., Table 7, 46.6 % with a shift of 0.1, 77.1 with -0.05."""
    if leaf(config, "method.predictor.kind") != "direct":
        return None
    direct = config.method.predictor.direct
    if direct.shift < CUT or direct.eps >= LIFTED:
        return None
    return Remedy(
        "eigenvalues cut off",
        f"method.predictor.direct.shift={direct.shift:g} with eps={direct.eps:g}: the predictor removes all directions "
        f"whose eigenvalue is below {direct.shift:g} of the largest",
        "method.predictor.direct.shift=0",
    )


@explains("collapsed", "partially collapsed", "not learning")
def nearly_identity(config: RunConfig, facts: Facts) -> Remedy | None:
    """DirectPred with so large an eps that W is a multiple of the identity: Tian et al., Table 6; SimSiam, Table 1.

    Its other eigenvalues are at most 1. DirectCopy's have the scale of the embeddings, and are not judged.
    """
    if leaf(config, "method.predictor.kind") != "direct":
        return None
    direct = config.method.predictor.direct
    if direct.eps < DOMINATING or (direct.power == 1 and direct.shift == 0):
        return None
    return Remedy(
        "predictor nearly the identity",
        f"method.predictor.direct.eps={direct.eps:g}: beside it the eigenvalues, at most 1, change no direction, as "
        "without a predictor",
        "method.predictor.direct.eps=0.1",
    )


@explains("collapsed", "partially collapsed", "not learning")
def least_squares_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """The predictor that is optimal for each batch: Tian et al., Table 1, 40.7 % against 74.5 with a trained one."""
    if leaf(config, "method.predictor.kind") != "optimal":
        return None
    return Remedy(
        "least-squares predictor",
        "method.predictor.kind=optimal: the predictor that fits the last batches best, with which BYOL learns little",
        "method.predictor.kind=linear",
    )
