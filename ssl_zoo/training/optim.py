"""Optimizers with their parameter groups, and the learning rate over time.

- [0] linear scaling and warmup: Goyal et al., 2017, https://arxiv.org/abs/1706.02677
- [1] LARS: You et al., 2017, https://arxiv.org/abs/1708.03888. Taken from timm: lightly's version becomes
  plain SGD wherever weight decay is 0 and waits for the GPU at each parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim.lars import Lars
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR

from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.method import Method
from ssl_zoo.training.mixed_optimizer import MixedOptimizer
from ssl_zoo.training.sharded_states import ShardedStates

__all__ = [
    "build_optimizer",
    "build_schedule",
    "follow_schedule",
    "optimizer_over",
    "peak_lr",
    "schedule_factor",
    "scheduled_lr",
    "warmup_steps",
    "weight_decay_factor",
]


def peak_lr(config: OptimizerConfig, batch: int) -> float:
    """Returns the learning rate at its highest, for `batch` images per optimizer step."""
    scale = {"linear": batch / 256, "sqrt": math.sqrt(batch), "none": 1.0}[config.lr_scaling]
    return config.lr * scale


def build_optimizer(
    config: OptimizerConfig, method: Method, batch: int, *, shard_states: bool = False
) -> torch.optim.Optimizer:
    """Builds the optimizer over all trainable parameters of a method; see `optimizer_over`.

    It is not fused where gradients are clipped: a fused optimizer undoes a loss scale by itself, after Lightning has
    clipped. Lightning refuses the two together under every mixed precision, bf16 too.
    """
    return optimizer_over(
        config,
        method,
        batch,
        backbone=method.encoder.backbone,
        constant=method.constant_lr_parameters(),
        multipliers=method.lr_multipliers(),
        decays=method.weight_decays(),
        fused=config.clip_grad_norm is None,
        shard_states=shard_states,
    )


def optimizer_over(
    config: OptimizerConfig,
    module: torch.nn.Module,
    batch: int,
    *,
    backbone: torch.nn.Module,
    constant: Iterable[torch.nn.Parameter] = (),
    multipliers: Iterable[tuple[torch.nn.Module, float]] = (),
    decays: Iterable[tuple[torch.nn.Module, float]] = (),
    nesterov: bool = False,
    fused: bool = True,
    shard_states: bool = False,
) -> torch.optim.Optimizer:
    """Builds the optimizer over all trainable parameters of a module.

    The groups carry `constant`, whether the schedule leaves their rate alone, and `multiplier`, by which the
    optimizer's rate is multiplied. With `exclude_norm_and_bias` vectors and scalars (BN and biases) and what timm
    names as not to be decayed (a transformer's position embedding and class token) have no weight decay, and
    LARS leaves their rate unadapted, as in the official code of SimCLR and BYOL.

    Args:
        config: name, rate, momentum and weight decay.
        module: what is trained.
        batch: images per step.
        backbone: the part of the module that timm built.
        constant: parameters whose rate the schedule leaves alone.
        multipliers: parts of the module with the factor of their rate.
        decays: parts of the module with a weight decay of their own.
        nesterov: of sgd.
        fused: sgd and adamw in one kernel, where the device has it.
        shard_states: whether the processes divide the optimizer's state among them.
    """
    lr = peak_lr(config, batch)
    fixed_rate = {id(parameter) for parameter in constant}
    multiplier = {id(p): factor for part, factor in multipliers for p in part.parameters()}
    decay = {id(p): weight_decay for part, weight_decay in decays for p in part.parameters()}
    undecayed = _undecayed(backbone)
    groups: dict[tuple[bool, bool, float, float], list[torch.nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            plain = config.exclude_norm_and_bias and (parameter.ndim <= 1 or id(parameter) in undecayed)
            weight_decay = 0.0 if plain else decay.get(id(parameter), config.weight_decay)
            key = (plain, id(parameter) in fixed_rate, multiplier.get(id(parameter), 1.0), weight_decay)
            groups.setdefault(key, []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": lr * factor,
            "weight_decay": weight_decay,
            "constant": fixed,
            "multiplier": factor,
            **({"always_adapt": not plain} if config.name == "lars" else {}),
        }
        for (plain, fixed, factor, weight_decay), parameters in sorted(groups.items())
    ]
    kind, options = _optimizer_class(config, lr, nesterov)
    if config.name != "lars":
        options["fused"] = fused and all(p.device.type in ("cpu", "cuda") for p in module.parameters())
    if any(isinstance(parameter, DTensor) for parameter in module.parameters()):
        # torch has no fused SGD of divided tensors; of LARS nothing but one tensor at a time is tested.
        otherwise = {
            "sgd": {"fused": False, "foreach": True},
            "adamw": {"foreach": not options.get("fused")},
            "lars": {"foreach": False},
        }[config.name]
        return MixedOptimizer(settings, kind, options, otherwise)
    return ShardedStates(settings, kind, **options) if shard_states else kind(settings, **options)


def _optimizer_class(
    config: OptimizerConfig, lr: float, nesterov: bool
) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Returns the optimizer's class, with its settings of all groups."""
    if config.name == "lars":
        trust = {"trust_coeff": config.trust_coefficient, "trust_clip": config.trust_clip}
        return Lars, {"lr": lr, "momentum": config.momentum, **trust}
    if config.name == "adamw":
        return torch.optim.AdamW, {"lr": lr}
    return torch.optim.SGD, {"lr": lr, "momentum": config.momentum, "nesterov": nesterov}


def _undecayed(backbone: torch.nn.Module) -> set[int]:
    """Returns the identities of the parameters that timm excludes from weight decay."""
    names: set[str] = getattr(backbone, "no_weight_decay", set)()
    return {id(parameter) for name, parameter in backbone.named_parameters() if name in names}


def warmup_steps(config: OptimizerConfig, batch: int, steps_per_epoch: int) -> int:
    """Returns the length of the warmup in optimizer steps of `batch` images; 0 below `warmup_from_batch`."""
    small = config.warmup_from_batch is not None and batch < config.warmup_from_batch
    return 0 if small else round(config.warmup_epochs * steps_per_epoch)


def schedule_factor(
    config: OptimizerConfig, step: int, *, batch: int, total_steps: int, steps_per_epoch: int
) -> float:
    """Returns the fraction of the peak learning rate in optimizer step `step` (from 0) of `total_steps`."""
    warmup = warmup_steps(config, batch, steps_per_epoch)
    if config.schedule_interval == "epoch":
        step = step // steps_per_epoch * steps_per_epoch
    if step < warmup:
        return config.warmup_lr_fraction + (1 - config.warmup_lr_fraction) * step / warmup
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * (1 + math.cos(math.pi * done)) / 2


def weight_decay_factor(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """Returns the weight decay of optimizer step `step` (from 0) over that of the first; 1 where it stays."""
    if config.final_weight_decay is None:
        return 1.0
    end = config.final_weight_decay / config.weight_decay
    return end + (1 - end) * (1 + math.cos(math.pi * step / total_steps)) / 2


def build_schedule(
    config: OptimizerConfig,
    optimizer: torch.optim.Optimizer,
    *,
    batch: int,
    total_steps: int,
    steps_per_epoch: int,
) -> LambdaLR:
    """Builds the schedule, stepped once per optimizer step; groups marked `constant` keep the peak rate."""

    def factor(constant: bool) -> Callable[[int], float]:
        if constant:
            return lambda step: 1.0
        return lambda step: schedule_factor(
            config, step, batch=batch, total_steps=total_steps, steps_per_epoch=steps_per_epoch
        )

    return LambdaLR(optimizer, [factor(bool(group["constant"])) for group in optimizer.param_groups])


def follow_schedule(optimizer: torch.optim.Optimizer, schedule: LambdaLR) -> None:
    """Sets the rates that the schedule has for its present step, which a checkpoint of another schedule has not."""
    for group, peak, factor in zip(
        optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
    ):
        group["lr"] = peak * factor(schedule.last_epoch)


def scheduled_lr(optimizer: torch.optim.Optimizer) -> float:
    """Returns the rate of the parameters that follow the schedule; of the first group where none do."""
    groups = optimizer.param_groups
    usual = [group for group in groups if not group["constant"] and group["multiplier"] == 1] or groups
    return float(usual[0]["lr"])
