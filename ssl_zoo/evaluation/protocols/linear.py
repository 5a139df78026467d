"""A linear classifier on the frozen backbone, trained on augmented images by a paper's recipe.

The backbone stays in evaluation mode, its BN statistics as they are, as FAIR's code demands: statistics that
follow the labelled images would be a part of the model that has changed. The accuracy is that of the last epoch.

With `lr_candidates` the base rate is chosen as BYOL's is, on held-out training images: one classifier per rate,
all on the same features, then the best rate's recipe from the beginning on all training images.

- [0] SimSiam's main_lincls.py, https://github.com/facebookresearch/simsiam
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ssl_zoo.data.sampling import keyed_order, split_classes
from ssl_zoo.evaluation.recipe import Recipe
from ssl_zoo.evaluation.schema import LinearConfig
from ssl_zoo.evaluation.supervised import Classifier, draw_seed, measure_accuracy, train_classifier
from ssl_zoo.evaluation.task import Outcome, Task

__all__ = ["check", "run"]

HARDLY = 0.9  # of its first epoch's loss: what a training that got somewhere ends below


def check(task: Task) -> None:
    """Refuses what could not be trained, before anything is.

    Raises:
        UserError: no labels, no test images, fewer than two classes, or no class of which an image can be held out.
    """
    task.labelled_splits()
    if task.settings.lr_candidates:
        task.check_holdout()


def run(task: Task) -> Outcome:
    """Trains and tests; accuracies are fractions of 1, null where the training diverged."""
    config, seed = task.settings, draw_seed(task.config.seed, 0)
    labelled, test = task.labelled_splits()
    assert task.data is not None
    classes = len(task.data.classes or ())
    choice = _choose(task, classes) if config.lr_candidates else None
    if choice is not None:
        config = _with_rate(config, choice["lr"])
    recipe = Recipe(task, config, len(labelled))
    model = Classifier(task, classes, seed, frozen=True)
    fitted = train_classifier(recipe, model, labelled, seed)
    reached = measure_accuracy(task, model, test)[0]
    top1, top5 = (None, None) if fitted.diverged() else reached
    first, last = fitted.first_and_last
    phrases = [f"linear classifier on the frozen backbone, BN statistics frozen too; {recipe.in_words()}"]
    if choice is not None:
        tried = ", ".join(f"{rate:g}" for rate in task.settings.lr_candidates)
        phrases.append(
            f"base rate chosen of {tried} on {choice['held_out']} training images held out, then trained on all"
        )
    if top1 is None:
        phrases.append("the training diverged: no accuracy")
    elif first is not None and last is not None and len(fitted.losses) > 1 and last > HARDLY * first:
        phrases.append(
            f"the training loss went from {first:.3f} to {last:.3f} in {recipe.steps} steps, which are too few "
            "for this rate, or the features say little"
        )
    row = {"lr": config.optimizer.lr, "rate": recipe.rate, "batch": recipe.batch, "top1": top1, "top5": top5}
    details = {
        "source": config.source,
        "optimizer_steps": recipe.steps,
        "train_loss_first_epoch": first,
        "train_loss_last_epoch": last,
        "choice": choice,
    }
    return Outcome("; ".join(phrases), top1, rows=(row,), details=details)


def _with_rate(config: LinearConfig, rate: float) -> LinearConfig:
    return replace(config, optimizer=replace(config.optimizer, lr=rate))


def _parts(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns positions of the labelled images to train on and of those held out to choose the rate."""
    labelled, _ = task.labelled_splits()
    assert labelled.labels is not None
    return split_classes(labelled.labels, task.settings.holdout, keyed_order(task.config.seed, "picks", 0))


def _choose(task: Task, classes: int) -> dict[str, Any]:
    """Chooses the base rate that is best on held-out training images, the first of equals."""
    config, seed = task.settings, draw_seed(task.config.seed, 1)
    labelled, _ = task.labelled_splits()
    rest, held = _parts(task)
    base = config.lr_candidates[0]
    recipe = Recipe(task, _with_rate(config, base), len(rest))
    model = Classifier(task, classes, seed, heads=len(config.lr_candidates), frozen=True)
    multipliers = [(head, rate / base) for head, rate in zip(model.heads, config.lr_candidates, strict=True)]
    fitted = train_classifier(
        recipe, model, labelled.select(rest), seed, multipliers=multipliers, title="choice of the rate, "
    )
    accuracies = [
        None if fitted.diverged(number) else reached.top1
        for number, reached in enumerate(measure_accuracy(task, model, labelled.select(held)))
    ]
    values = [-1.0 if top1 is None else top1 for top1 in accuracies]
    best = values.index(max(values))
    tried = [
        {"lr": rate, "held_out_top1": top1}
        for rate, top1 in zip(config.lr_candidates, accuracies, strict=True)
    ]
    return {"lr": config.lr_candidates[best], "held_out": len(held), "tried": tried}
