"""Causes in the architecture of the loss: what keeps the outputs apart is missing, stands still or is too narrow.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Figure 2, Tables 1 and 3, Section 6.2)
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733 (Table 5a)
- [2] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Section 4.1, momentum)
- [3] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Table 1: an expectation over views is no predictor)
"""

from __future__ import annotations

import math

from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf, unlike_reference

__all__ = [
    "fixed_predictor",
    "frozen_head",
    "frozen_momentum_encoder",
    "narrow_head",
    "no_bn",
    "no_predictor",
    "no_stop_gradient",
    "symmetric_predictor",
    "targets_without_momentum",
    "unstable_predictor",
]

REPELLING = ("similarity", "negatives", "assignment")
NARROW = 16  # channels; papers have 128 or more for 1,000 classes
SETTLED = 100  # steps after which a usable momentum encoder has left its first weights
SLOW = 0.5  # fraction of its initial weights that a momentum encoder has kept
MOVING_KEYS = 0.5  # decay of a momentum encoder below which a queue holds keys of other encoders


def _is_changed(config: RunConfig, facts: Facts, *keys: str) -> bool:
    return any(unlike_reference(config, facts, f"method.{key}") for key in keys)


def _repels(method: object) -> bool:
    """Whether the loss itself keeps the outputs apart: negatives, codes that must use all prototypes, or centring."""
    if not isinstance(method, SiameseConfig):
        return False
    if method.negatives == "correlation":
        return method.unified.weight > 0
    return method.negatives != "none" or method.assignment in ("sinkhorn", "centering")


@explains("collapsed", "partially collapsed", "not learning")
def no_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """Neither predictor nor negatives nor codes: SimSiam, Table 1 (a), SimCLR without negatives, DINO uncentred."""
    method = config.method
    if not isinstance(method, SiameseConfig) or _repels(method) or method.predictor.kind != "identity":
        return None
    if method.extra_gradient.of != "none" or method.decorrelation.weight:
        return None  # another loss than the paper's, which may keep the outputs apart
    averaged = method.assignment not in ("identity", "expectation")  # over earlier weights
    if averaged or not _is_changed(config, facts, "predictor.kind", *REPELLING):
        return None
    usual = leaf(facts.reference, "method")
    minimum = "equal outputs for all images are a minimum of the loss that nothing keeps the encoder from"
    if method.negatives == "correlation":
        return Remedy(
            "no negatives",
            f"method.unified.weight=0, and no predictor and no codes: {minimum}",
            "method.unified.weight=100",
        )
    if _repels(usual):
        return Remedy(
            {"sinkhorn": "no codes", "centering": "no centring"}.get(usual.assignment, "no negatives"),
            f"method.negatives={method.negatives}, and no predictor and no codes: {minimum}",
            " ".join(
                f"method.{key}={getattr(usual, key)}" for key in REPELLING if _is_changed(config, facts, key)
            ),
        )
    return Remedy(
        "no predictor",
        f"method.predictor.kind=identity, and no negatives and no codes: {minimum}",
        "method.predictor.kind=mlp",
    )


@explains("collapsed", "partially collapsed", "not learning")
def symmetric_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """A predictor kept symmetric, without a moving average: Tian et al., 0.1 % against 68.1 with SimSiam."""
    predictor, momentum = leaf(config, "method.predictor"), leaf(config, "method.momentum_encoder")
    if predictor is None or not predictor.symmetric or momentum.enabled or _repels(config.method):
        return None
    return Remedy(
        "symmetric predictor",
        "method.predictor.symmetric=true without a momentum encoder, which it needs",
        "method.predictor.symmetric=false",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def no_stop_gradient(config: RunConfig, facts: Facts) -> Remedy | None:
    """The gradient reaches the target: SimSiam, Figure 2; SwAV diverges (Section 6.2)."""
    method = config.method
    if not isinstance(method, SiameseConfig) or method.stop_gradient or method.negatives != "none":
        return None
    if not _is_changed(config, facts, "stop_gradient", *REPELLING):
        return None
    target = "codes" if method.assignment == "sinkhorn" else "target"
    return Remedy(
        "stop-gradient off",
        f"method.stop_gradient=false: the gradient through the {target} moves both sides to one common output",
        "method.stop_gradient=true",
    )


@explains("collapsed", "partially collapsed", "not learning")
def fixed_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """A predictor at its random initialisation: SimSiam, Table 1 (b)."""
    predictor = leaf(config, "method.predictor")
    if predictor is None or predictor.kind in ("identity", "direct", "optimal") or _repels(config.method):
        return None
    for key, value in (("trainable", False), ("lr_multiplier", 0.0)):
        if getattr(predictor, key) == value and unlike_reference(config, facts, f"method.predictor.{key}"):
            return Remedy(
                "predictor fixed",
                f"method.predictor.{key}={_written(value)}: it stays at its random initialisation and cannot follow "
                "the encoder",
                f"method.predictor.{key}={'true' if key == 'trainable' else '1'}",
            )
    return None


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def unstable_predictor(config: RunConfig, facts: Facts) -> Remedy | None:
    """BN on the predictor's output: SimSiam is unstable with it, Table 3 (d)."""
    if not leaf(config, "method.predictor.bn_output") or _repels(config.method):
        return None
    if leaf(config, "method.predictor.kind") != "mlp" or not unlike_reference(
        config, facts, "method.predictor.bn_output"
    ):
        return None
    return Remedy(
        "BN on the predictor's output",
        "method.predictor.bn_output=true, with which SimSiam's training is unstable",
        "method.predictor.bn_output=false",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def no_bn(config: RunConfig, facts: Facts) -> Remedy | None:
    """No BN in either head of a method that lives on its predictor: SimSiam, Table 3 (a), 34.6 % against 68.1."""
    predictor, projector = leaf(config, "method.predictor"), leaf(config, "method.projector")
    if predictor is None or projector is None or predictor.kind != "mlp" or _repels(config.method):
        return None
    keys = ("projector.bn_hidden", "projector.bn_output", "predictor.bn_hidden", "predictor.bn_output")
    if any(leaf(config, f"method.{key}") for key in keys) or not _is_changed(config, facts, *keys):
        return None
    return Remedy(
        "no BN in the heads",
        "method.projector.bn_hidden=false and method.predictor.bn_hidden=false: without BN training hardly starts",
        "method.projector.bn_hidden=true",
    )


@explains("collapsed", "partially collapsed", "not learning")
def frozen_head(config: RunConfig, facts: Facts) -> Remedy | None:
    """A projector whose learning rate is 0."""
    if leaf(config, "method.projector.lr_multiplier") != 0 or not _is_changed(
        config, facts, "projector.lr_multiplier"
    ):
        return None
    return Remedy(
        "projector fixed",
        "method.projector.lr_multiplier=0: it stays at its random initialisation",
        "method.projector.lr_multiplier=1",
    )


@explains("collapsed", "partially collapsed", "not learning")
def frozen_momentum_encoder(config: RunConfig, facts: Facts) -> Remedy | None:
    """A momentum encoder that is still mostly its random self: decay^steps of its first weights are left.

    With a decay of 1 it never moves (BYOL, Table 5a: 18.8 % against 72.5). A cosine course only raises the decay, so
    the power is a lower bound of what is left.
    """
    momentum = leaf(config, "method.momentum_encoder")
    if momentum is None or not momentum.enabled or facts.steps == 0:
        return None
    left = momentum.decay**facts.steps
    if momentum.decay ** max(facts.steps, SETTLED) < SLOW:
        return None
    usable = 0.01 ** (1 / facts.steps)  # keeps 1 % of the first weights
    reference = leaf(facts.reference, "method.momentum_encoder.decay")
    value = reference if reference is not None and reference**facts.steps < SLOW else _round_down(usable)
    kept = "has not moved" if momentum.decay == 1 else f"still has {left:.0%} of its random first weights"
    return Remedy(
        "momentum encoder frozen",
        f"method.momentum_encoder.decay={momentum.decay:g}: after {facts.steps} steps it {kept}",
        f"method.momentum_encoder.decay={value:g}",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def targets_without_momentum(config: RunConfig, facts: Facts) -> Remedy | None:
    """A queue whose keys come from encoders of many steps ago: MoCo fails without a slow encoder (Section 4.1)."""
    momentum = leaf(config, "method.momentum_encoder")
    if momentum is None or leaf(config, "method.negatives") != "queue":
        return None
    if momentum.enabled and momentum.decay >= MOVING_KEYS:
        return None
    if momentum.enabled:
        given, fix = f"decay={momentum.decay:g}", "decay=0.99"
    else:
        given, fix = "enabled=false", "enabled=true"
    return Remedy(
        "momentum encoder too fast",
        f"method.momentum_encoder.{given}: the queue's keys come from an encoder that changes in each step, and those "
        "of different steps cannot be compared",
        f"method.momentum_encoder.{fix}",
    )


@explains("collapsed", "partially collapsed", "not learning")
def narrow_head(config: RunConfig, facts: Facts) -> Remedy | None:
    """A layer of the head with fewer channels than class means take: C - 1 for few classes, or 16; without labels 2."""
    needed = max(2, min(NARROW, (facts.classes or 0) - 1))
    projector = leaf(config, "method.projector")
    if projector is None or projector.layers == 0:
        return None
    widths = {"projector.output_dim": projector.output_dim}
    if projector.layers > 1:
        widths["projector.hidden_dim"] = projector.hidden_dim
    predictor = leaf(config, "method.predictor")
    if predictor is not None and predictor.kind == "mlp" and predictor.hidden_dim is not None:
        widths["predictor.hidden_dim"] = predictor.hidden_dim
    key = min(widths, key=lambda name: widths[name])
    if widths[key] >= needed or not _is_changed(config, facts, key):
        return None
    usual = leaf(facts.reference, f"method.{key}")
    value = usual if usual is not None and usual >= needed else max(64, 2 * needed)
    return Remedy(
        "head too narrow",
        f"method.{key}={widths[key]} leaves fewer than the {needed} directions that "
        + (f"{facts.classes} classes need" if needed > 2 else "tell images apart"),
        f"method.{key}={value}",
    )


def _written(value: object) -> str:
    return {True: "true", False: "false"}.get(value, f"{value}") if isinstance(value, bool) else f"{value:g}"


def _round_down(value: float) -> float:
    return math.floor(value * 1000) / 1000
