"""Causes in the optimizer, the length of the training, the batch and the precision.

- [0] the linear rule: Goyal et al., 2017, https://arxiv.org/abs/1706.02677
- [1] weight decay under BN: Kosson et al., 2023, https://arxiv.org/abs/2305.17212
"""

from __future__ import annotations

import math

from ssl_zoo.config.schema import OptimizerConfig, RunConfig
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf, step_images

__all__ = [
    "few_steps",
    "long_warmup",
    "low_precision",
    "rate_too_high",
    "rate_too_low",
    "statistics_of_few",
    "tight_clipping",
    "weight_decay_too_high",
]

FACTOR = 10**0.5  # half a decade: rates of a learning-rate search lie so far apart
BEARABLE = {"sgd": 3.2, "adamw": 0.01}  # see `rate_too_high`
FEW_STEPS = 100  # optimizer steps
FEW_VALUES = 4  # of a BN channel's batch
SHRINK = 0.05  # see `weight_decay_too_high`


def _effective(optimizer: OptimizerConfig, peak: float, loss_scale: float) -> float:
    """Length of a step along a lasting gradient: rate / (1 - momentum), times the loss's factor where it counts.

    LARS and AdamW divide by the gradient's size, which takes the factor out.
    """
    momentum = optimizer.momentum if optimizer.name != "adamw" else 0.0
    return peak / (1 - momentum) * (loss_scale if optimizer.name == "sgd" else 1.0)


def _against_rule(config: RunConfig, facts: Facts) -> tuple[float, float] | None:
    """Returns the rate over that of the reference at this batch by the linear rule, and that peak rate.

    None without a reference of the same optimizer.
    """
    reference, usual = facts.reference, facts.reference_peak_lr
    if reference is None or usual is None or reference.optimizer.name != config.optimizer.name:
        return None
    expected = usual * step_images(config) / step_images(reference)
    here = _effective(config.optimizer, facts.peak_lr, leaf(config, "method.loss_scale") or 1.0)
    there = _effective(reference.optimizer, expected, leaf(reference, "method.loss_scale") or 1.0)
    return here / there, expected


def _mend_rate(config: RunConfig, facts: Facts, ratio: float, expected: float) -> str:
    """The override that brings the rate back: of the factor that differs most from the reference."""
    assert facts.reference is not None
    scale = leaf(config, "method.loss_scale") or 1.0
    usual_scale = leaf(facts.reference, "method.loss_scale") or 1.0
    momentum, usual = config.optimizer.momentum, facts.reference.optimizer.momentum
    factors = {
        f"optimizer.lr={_short(config.optimizer.lr * expected / facts.peak_lr)}": facts.peak_lr / expected,
        f"optimizer.momentum={usual:g}": (1 - usual) / (1 - momentum),
        f"method.loss_scale={usual_scale:g}": scale / usual_scale,
    }
    sign = 1 if ratio > 1 else -1
    return max(factors, key=lambda override: sign * math.log(factors[override]))


@explains("diverged", "collapsed", "partially collapsed", "not learning")
def rate_too_high(config: RunConfig, facts: Facts) -> Remedy | None:
    """A rate half a decade or more above the recipe's by the linear rule, or above what its optimizer bears.

    For SGD that is 3.2, at which the linear rule ends: 0.1 for 256 images held up to 8,192 of them [0]. AdamW moves
    each weight by about the rate in a step, and 0.01 is a tenth of the size of usual weights.
    """
    compared = _against_rule(config, facts)
    if compared is not None and compared[0] >= FACTOR:
        ratio, expected = compared
        action = _mend_rate(config, facts, ratio, expected)
        return Remedy(
            "rate too high",
            f"the peak rate {facts.peak_lr:.3g} ({_spelled(config)}) is {ratio:.3g} times what {_origin(facts)} has at "
            f"{step_images(config)} images a step by the linear rule ({expected:.3g})"
            + ("" if action.startswith("optimizer.lr") else f", {action.partition('=')[0]} included"),
            action,
        )
    bound = BEARABLE.get(config.optimizer.name, math.inf)
    if compared is not None or facts.peak_lr <= bound:
        return None
    lr = config.optimizer.lr * bound / 10 / facts.peak_lr
    why = f"the peak rate {facts.peak_lr:.3g} ({_spelled(config)}) is more than the {bound:g} that "
    return Remedy("rate too high", f"{why}{config.optimizer.name} bears", f"optimizer.lr={_short(lr)}")


@explains("collapsed", "partially collapsed", "not learning")
def rate_too_low(config: RunConfig, facts: Facts) -> Remedy | None:
    """A rate a decade below the recipe's by the linear rule."""
    compared = _against_rule(config, facts)
    if compared is None or compared[0] > 1 / FACTOR**2:
        return None
    ratio, expected = compared
    return Remedy(
        "rate too low",
        f"the peak rate {facts.peak_lr:.3g} ({_spelled(config)}) is {ratio:.2g} times what {_origin(facts)} has at "
        f"{step_images(config)} images a step by the linear rule ({expected:.3g})",
        _mend_rate(config, facts, ratio, expected),
    )


@explains("collapsed", "partially collapsed", "not learning")
def long_warmup(config: RunConfig, facts: Facts) -> Remedy | None:
    """A warmup that takes most of the run: the rate never gets to its peak."""
    optimizer = config.optimizer
    begins = optimizer.warmup_from_batch is None or step_images(config) >= optimizer.warmup_from_batch
    if not begins or optimizer.warmup_epochs < 0.5 * config.epochs:
        return None
    return Remedy(
        "warmup too long",
        f"the warmup takes {optimizer.warmup_epochs:g} of {config.epochs} epochs",
        f"optimizer.warmup_epochs={_short(config.epochs / 10)}",
    )


@explains("collapsed", "partially collapsed", "not learning")
def tight_clipping(config: RunConfig, facts: Facts) -> Remedy | None:
    """Gradients clipped to next to nothing, where the optimizer does not divide by their size."""
    clip = config.optimizer.clip_grad_norm
    if clip is None or clip >= 0.01 or config.optimizer.name != "sgd":
        return None
    return Remedy(
        "gradients clipped away",
        f"gradients are scaled down to a norm of {clip:g} (optimizer.clip_grad_norm)",
        "optimizer.clip_grad_norm=1",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def weight_decay_too_high(config: RunConfig, facts: Facts) -> Remedy | None:
    """A decay that outweighs the gradient: 1 / (rate x decay) steps forget the weights, here fewer than 20.

    With momentum the rate is the effective one, and under BN the weights turn by about sqrt(2 rate decay) = 18 degrees
    or more in a step [1], so that nothing learned lasts.
    """
    decay, usual = config.optimizer.weight_decay, leaf(facts.reference, "optimizer.weight_decay")
    if decay < FACTOR * (usual or 0.003):
        return None
    shrink = decay * _effective(config.optimizer, facts.peak_lr, 1.0)
    if shrink < SHRINK:
        return None
    value = usual if usual is not None else 1e-4
    return Remedy(
        "weight decay too high",
        f"optimizer.weight_decay={decay:g} at a peak rate of {facts.peak_lr:.3g} makes the weights forget in "
        f"{1 / shrink:.2g} steps what they have learned",
        f"optimizer.weight_decay={value:g}",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def statistics_of_few(config: RunConfig, facts: Facts) -> Remedy | None:
    """BN statistics of so few images that its output says little of them: of two values it makes +1 and -1."""
    processes = config.trainer.processes if config.method.batch_norm == "local" else 1
    images = config.batch_size // processes
    views = len(config.views) if leaf(config, "method.joint_batch") else 1
    if images > FEW_VALUES:
        return None
    count = f"{images} images" if views == 1 else f"{views} views of {images} images"
    each = f" in each of {processes} processes" if processes > 1 else ""
    return Remedy(
        "BN over few images",
        f"batch_size={config.batch_size}: BN's statistics are of {count}{each}",
        f"batch_size={leaf(facts.reference, 'batch_size') or 64 * processes}",
    )


@explains("diverged")
def low_precision(config: RunConfig, facts: Facts) -> Remedy | None:
    """Training in 16 bits: fp16 overflows at 65,504, and a small temperature asks for it."""
    if facts.precision == "fp32":
        return None
    return Remedy(
        "low precision",
        f"trained in {facts.precision} (precision={config.precision}), and not finite",
        "precision=fp32",
    )


@explains("collapsed", "partially collapsed", "not learning")
def few_steps(config: RunConfig, facts: Facts) -> Remedy | None:
    """Too few optimizer steps to leave the random initialisation; not of a run that was ended before its last epoch."""
    if facts.epochs < config.epochs or (facts.steps >= FEW_STEPS and not _is_short(config, facts)):
        return None
    per_epoch = max(1, facts.steps // max(1, facts.epochs))
    usual = leaf(facts.reference, "epochs") or 0
    usual_batch = leaf(facts.reference, "batch_size") or 64
    if per_epoch < 5 and usual_batch < config.batch_size:
        return Remedy(
            "too few steps",
            f"batch_size={config.batch_size}: {facts.images} images in steps of {step_images(config)} are "
            f"{facts.steps} optimizer steps in {facts.epochs} epochs",
            f"batch_size={usual_batch}",
        )
    enough = usual > config.epochs and usual * per_epoch >= FEW_STEPS
    epochs = usual if enough else max(math.ceil(5 * FEW_STEPS / per_epoch), 2 * config.epochs)
    return Remedy(
        "too few epochs",
        f"epochs={config.epochs} are {facts.steps} optimizer steps"
        + (f", and {_origin(facts)} has {usual} epochs" if usual > config.epochs else ""),
        f"epochs={epochs}",
    )


def _is_short(config: RunConfig, facts: Facts) -> bool:
    """Whether the training is less than a quarter of the recipe's, in steps."""
    reference = facts.reference
    if reference is None:
        return False
    return facts.epochs / step_images(config) < 0.25 * reference.epochs / step_images(reference)


def _origin(facts: Facts) -> str:
    return (
        "the recipe" if facts.reference is not None and facts.reference.recipe else "the method's own setting"
    )


def _spelled(config: RunConfig) -> str:
    optimizer = config.optimizer
    return f"optimizer.lr={optimizer.lr:g}, lr_scaling={optimizer.lr_scaling}"


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"
