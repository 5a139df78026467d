"""Causes among the switches that ask why Siamese methods do not collapse: variants that the paper finds to collapse.

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Tables 2 to 4)
"""

from __future__ import annotations

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf

__all__ = ["gradient_parts_left_out", "misplaced_predictor"]


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
