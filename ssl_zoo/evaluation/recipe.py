"""A supervised recipe applied to a data set: its batch, rate, schedule and views, and a description of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ssl_zoo.config.schema import BlurConfig, CropConfig, JitterConfig, ViewConfig
from ssl_zoo.evaluation.schema import SupervisedConfig, SupervisedOptimizerConfig
from ssl_zoo.evaluation.task import Task
from ssl_zoo.training.optim import peak_lr, schedule_factor

__all__ = ["Recipe", "rate_factor"]

PHOTOGRAPHS = (CropConfig(scale=(0.08, 1.0)), 0.5)  # crop and flip of all five papers' classifiers


@dataclass(frozen=True)
class Recipe:
    """The recipe for training a classifier on so many images.

    Args:
        task: of the evaluation.
        config: of the protocol.
        images: that it is trained on.
    """

    task: Task
    config: SupervisedConfig
    images: int

    @property
    def batch(self) -> int:
        """Images per step."""
        return min(self.config.batch_size, self.images)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training; an epoch's incomplete last batch is dropped."""
        return self.images // self.batch * self.config.epochs

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""
        return peak_lr(self.config.optimizer, self.batch)

    @cached_property
    def view(self) -> tuple[ViewConfig, str]:
        """The view that is trained on, and its description; see `SupervisedConfig` for the meaning of null."""
        config, pretraining = self.config, self.task.subject.views
        (crop, flip), why = PHOTOGRAPHS, ""
        if pretraining and None in (config.crop, config.flip) and not any(view.flip for view in pretraining):
            crop, flip, why = pretraining[0].crop, 0.0, " (the run's own views are never mirrored)"
        crop = crop if config.crop is None else config.crop
        flip = flip if config.flip is None else config.flip
        view = ViewConfig(
            size=self.task.config.size,
            crop=crop,
            flip=flip,
            jitter=JitterConfig(p=0.0),
            grayscale=0.0,
            blur=BlurConfig(p=0.0),
        )
        low, high = crop.scale
        mirrored = f"{100 * flip:g} % mirrored" if flip else "none mirrored"
        return view, f"crops of {100 * low:g} to {100 * high:g} % of the area, {mirrored}{why}"

    def in_words(self) -> str:
        """Describes optimizer, rate, schedule, batch, epochs, views and precision."""
        config, optimizer, batch = self.config, self.config.optimizer, self.batch
        name = {"sgd": "SGD", "lars": "LARS", "adamw": "AdamW"}[optimizer.name]
        momentum = f", {'Nesterov ' if optimizer.nesterov else ''}momentum {optimizer.momentum:g}"
        scaled = {"linear": f" * {batch} / 256", "sqrt": f" * sqrt({batch})", "none": ""}[
            optimizer.lr_scaling
        ]
        fewer = (
            f" (the recipe's {config.batch_size} are more than there are)"
            if batch < config.batch_size
            else ""
        )
        device, precision = self.task.training.device.type, self.task.training.precision
        mixed = "" if precision == "fp32" else ", the classifier in fp32,"
        return (
            f"{name}{'' if optimizer.name == 'adamw' else momentum}, rate {self.rate:g} = {optimizer.lr:g}{scaled}, "
            f"{_schedule(optimizer)}, weight decay {optimizer.weight_decay:g}, batch {batch}{fewer}, {config.epochs} "
            f"epochs = {self.steps} steps on {self.images} images, {self.view[1]}, trained in {precision}{mixed} on "
            f"{device}, tested in {self.task.hardware.precision} after the last epoch"
        )


def _schedule(config: SupervisedOptimizerConfig) -> str:
    how = {
        "cosine": f"cosine to {config.final_lr_fraction:g} per {config.schedule_interval}",
        "constant": "constant",
    }[config.schedule]
    if config.milestones:
        how = f"x0.1 after {' and '.join(f'{100 * fraction:g} %' for fraction in config.milestones)} of the training"
    if config.warmup_epochs:
        how = f"{config.warmup_epochs:g} epochs of warmup, {how}"
    return how if config.clip_grad_norm is None else f"{how}, gradients cut to norm {config.clip_grad_norm:g}"


def rate_factor(
    config: SupervisedOptimizerConfig, step: int, *, batch: int, total_steps: int, steps_per_epoch: int
) -> float:
    """Returns the fraction of the peak rate in a step, counted from 0.

    It is `schedule_factor`'s or, with milestones, a tenth of the one before from each milestone on.
    """
    position = {"batch": batch, "total_steps": total_steps, "steps_per_epoch": steps_per_epoch}
    if not config.milestones:
        return schedule_factor(config, step, **position)
    warmup = schedule_factor(replace(config, schedule="constant"), step, **position)
    if config.schedule_interval == "epoch":
        step = step // steps_per_epoch * steps_per_epoch
    return float(warmup * 0.1 ** sum(step / total_steps >= fraction for fraction in config.milestones))
