"""Causes in what is compared: temperature, negatives, queue, prototypes and their codes.

- [0] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Section 3.2)
- [1] SwAV's code, https://github.com/facebookresearch/swav (common issues)
- [2] DINO, 2021, https://arxiv.org/abs/2104.14294 (Section 5.3: what centring and sharpening each prevent)
"""

from __future__ import annotations

import math

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf, step_images, unlike_reference

__all__ = [
    "codes_are_uniform",
    "few_negatives",
    "few_prototypes",
    "no_sharpening",
    "stale_queue",
    "temperature_far_off",
]

AT_CHANCE = 0.02  # relative distance to ln K within which codes are called uniform
COLD, HOT = 0.02, 2.0  # temperatures; see `temperature_far_off`
FEW_NEGATIVES = 8


@explains("collapsed", "partially collapsed", "not learning")
def few_prototypes(config: RunConfig, facts: Facts) -> Remedy | None:
    """Fewer prototypes than classes, or so few that a code says nothing: with one, every code is equal."""
    if leaf(config, "method.assignment") != "sinkhorn":
        return None
    number, needed = config.method.prototypes.number, max(4, facts.classes or 0)
    if number >= needed or not unlike_reference(config, facts, "method.prototypes.number"):
        return None
    usual = leaf(facts.reference, "method.prototypes.number")
    value = usual if usual is not None and usual >= needed else 10 * needed
    return Remedy(
        "too few prototypes",
        f"method.prototypes.number={number}: a code is one of {number}, too few to tell images apart",
        f"method.prototypes.number={value}",
    )


@explains("collapsed", "partially collapsed", "not learning")
def no_sharpening(config: RunConfig, facts: Facts) -> Remedy | None:
    """Centred targets that are no sharper than the predictions: both end uniform, equal for all images [2]."""
    if leaf(config, "method.assignment") != "centering":
        return None
    keys = ("method.sharpening.temperature", "method.temperature")
    target, tau = leaf(config, keys[0]), leaf(config, keys[1])
    target = tau if target is None else target
    if target < tau or not any(unlike_reference(config, facts, key) for key in keys):
        return None
    loss = "" if facts.loss is None else f"; the loss is {facts.loss:.4g}, ln K = {_chance(config):.4g}"
    return Remedy(
        "no sharpening",
        f"method.sharpening.temperature={target:g} and method.temperature={tau:g}: centred targets that are no sharper "
        f"than the predictions leave both uniform{loss}",
        f"method.sharpening.temperature={0.4 * tau:g}",  # DINO's 0.04 to 0.1
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def temperature_far_off(config: RunConfig, facts: Facts) -> Remedy | None:
    """A temperature at which a softmax of cosines hardly chooses, or chooses by rounding alone.

    Cosines lie in [-1, 1], so a perfect match has at most exp(2 / tau) times the odds of an opposite one: e at tau = 2,
    beyond which even the best encoder's softmax stays near uniform. Below 0.02 a difference of cosines of 0.1, within
    which random vectors of 100 channels lie, already weighs e^5. Papers have 0.05 to 1.
    """
    similarity, tau = leaf(config, "method.similarity"), leaf(config, "method.temperature")
    bounded = similarity == "info_nce" or (
        similarity == "cross_entropy" and leaf(config, "method.prototypes.number")
    )
    if not bounded or tau is None or COLD <= tau <= HOT:
        return None
    usual = leaf(facts.reference, "method.temperature")
    value = usual if usual is not None and COLD <= usual <= HOT else 0.2
    effect = (
        f"even a perfect match has only {math.exp(2 / tau):.3g} times the odds of an opposite one"
        if tau > HOT
        else "differences of cosines by chance decide the softmax"
    )
    return Remedy(
        "temperature far off", f"method.temperature={tau:g}: {effect}", f"method.temperature={value:g}"
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def codes_are_uniform(config: RunConfig, facts: Facts) -> Remedy | None:
    """SwAV's loss stuck at ln K, the cross-entropy of uniform codes or predictions; its remedies are the code's [1]."""
    if leaf(config, "method.assignment") != "sinkhorn" or facts.loss is None:
        return None
    method, K = config.method, config.method.prototypes.number
    chance = _chance(config)
    epsilon, batch = method.sinkhorn.epsilon, config.batch_size + method.sinkhorn.queue_size
    # Scores are cosines: of a code's K entries the largest is at most exp(2 / epsilon) times the least.
    soft = epsilon > 0.25
    stuck = math.isfinite(facts.loss) and abs(facts.loss - chance) <= AT_CHANCE * chance
    if not (soft or stuck):
        return None
    at = f"the loss is {facts.loss:.4g}, ln K = {chance:.4g} for K={K} prototypes: codes are uniform"
    if epsilon > 0.05:
        usual = leaf(facts.reference, "method.sinkhorn.epsilon") or 0.05
        why = (
            at
            if stuck
            else f"of cosines / epsilon Sinkhorn makes nearly uniform codes (loss {facts.loss:.4g})"
        )
        return Remedy(
            "epsilon too large",
            f"{why}; method.sinkhorn.epsilon={epsilon:g}",
            f"method.sinkhorn.epsilon={min(usual, 0.05):g}",
        )
    if batch < K:
        why = f"{at}; a batch of {batch} cannot use them equally"
        return Remedy("batch too small for the prototypes", why, f"method.sinkhorn.queue_size={4 * K}")
    if method.prototypes.normalization != "outside":
        return Remedy(
            "uniform codes",
            f"{at}; method.prototypes.normalization={method.prototypes.normalization}",
            "method.prototypes.normalization=outside",
        )
    return Remedy(
        "uniform codes",
        f"{at}; method.sinkhorn.epsilon={epsilon:g}",
        f"method.sinkhorn.epsilon={0.6 * epsilon:g}",
    )


def _chance(config: RunConfig) -> float:
    """Returns the cross-entropy of uniform predictions over the prototypes, or the channels without prototypes."""
    method = config.method
    K = leaf(config, "method.prototypes.number") or method.projector.output_dim
    return float(method.loss_scale * math.log(K))


@explains("collapsed", "partially collapsed", "not learning")
def few_negatives(config: RunConfig, facts: Facts) -> Remedy | None:
    """So few negatives that telling a positive from them asks for next to nothing."""
    negatives = leaf(config, "method.negatives")
    if negatives in ("batch", "keys", "predictions"):
        views = 2 if negatives == "batch" else 1
        count, given = views * (config.batch_size - 1), f"batch_size={config.batch_size}"
        fix = f"batch_size={leaf(facts.reference, 'batch_size') or 256}"
    elif negatives in ("queue", "memory_bank"):
        key = "queue.size" if negatives == "queue" else "memory.negatives"
        count = leaf(config, f"method.{key}")
        given = f"method.{key}={count}"
        fix = f"method.{key}={leaf(facts.reference, f'method.{key}') or 1024}"
    else:
        return None
    if count >= FEW_NEGATIVES:
        return None
    return Remedy("too few negatives", f"{given} leaves {count} negatives for each image", fix)


@explains("collapsed", "partially collapsed", "not learning")
def stale_queue(config: RunConfig, facts: Facts) -> Remedy | None:
    """A queue that training hardly filled: most of it are the random vectors with which it began."""
    neighbors = leaf(config, "method.assignment") == "nearest_neighbor"  # of a queue that takes one view
    if leaf(config, "method.negatives") != "queue" and not neighbors:
        return None
    seen = facts.steps * step_images(config) * (2 if config.method.symmetric and not neighbors else 1)
    size = config.method.queue.size
    if facts.epochs < config.epochs or seen >= size:
        return None
    return Remedy(
        "queue never filled",
        f"method.queue.size={size} and {seen} keys in the whole run: the rest are random vectors that it began with",
        f"method.queue.size={max(FEW_NEGATIVES, 2 ** int(math.log2(max(2, seen / 10))))}",
    )
