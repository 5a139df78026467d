"""Backbone and classifier trained together on labelled images: on all labels, or on a fraction of each class's.

BN is in training mode, with the statistics of each batch; tests are in evaluation mode, after the last epoch. Each
draw of the labels begins with the backbone as it was and has its own labels, initial classifier, order and views. The
labels are balanced, and those of a smaller fraction are part of those of a larger one in the same draw.

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.5)
"""

from __future__ import annotations

import statistics
from typing import Any

from ssl_zoo.data import Split
from ssl_zoo.data.sampling import at_least_one, keyed_order, sample_classes
from ssl_zoo.evaluation.recipe import Recipe
from ssl_zoo.evaluation.supervised import Classifier, draw_seed, measure_accuracy, train_classifier
from ssl_zoo.evaluation.task import Outcome, Task

__all__ = ["check", "run"]


def check(task: Task) -> None:
    """Refuses what could not be trained, before anything is.

    Raises:
        UserError: no labels, no test images, or fewer than two classes.
    """
    task.labelled_splits()


def run(task: Task) -> Outcome:
    """Trains and tests once per draw; accuracies are fractions of 1, null where a training diverged."""
    config = task.settings
    labelled, test = task.labelled_splits()
    assert labelled.labels is not None
    number, seed = at_least_one(config.label_fraction), task.config.seed
    draws = [
        sample_classes(labelled.labels, number, keyed_order(seed, "picks", draw)).sort().values
        for draw in range(config.draws)
    ]
    recipe = Recipe(task, config, len(draws[0]))
    rows, losses = [], []
    for draw, chosen in enumerate(draws):
        title = f"draw {draw + 1}/{config.draws}, " if config.draws > 1 else ""
        train = labelled if len(chosen) == len(labelled) else labelled.select(chosen)
        row, first, last = _run_draw(task, recipe, train, test, draw, title)
        rows.append(row)
        losses.append({"first_epoch": first, "last_epoch": last})
    accuracies = [row["top1"] for row in rows if row["top1"] is not None]
    diverged = len(rows) - len(accuracies)
    # A mean over those that went well would flatter.
    top1 = statistics.fmean(accuracies) if not diverged else None
    std = statistics.stdev(accuracies) if not diverged and len(accuracies) > 1 else None
    labels = (
        "all labels"
        if config.label_fraction == 1
        else f"{100 * config.label_fraction:g} % of each class's labels, at least 1"
    )
    over = "seeds" if config.label_fraction == 1 else "draws of the labels"
    phrases = [
        f"backbone and classifier fine-tuned on {labels}, BN in training mode; {recipe.in_words()}"
        + (
            ""
            if config.head_lr_multiplier == 1
            else f", the classifier's rate {config.head_lr_multiplier:g} times the backbone's"
        )
        + (f"; mean over {config.draws} {over}" if config.draws > 1 else "")
    ]
    if diverged:
        phrases.append(f"the training diverged in {diverged} of {len(rows)}: no accuracy")
    details = {"source": config.source, "optimizer_steps": recipe.steps, "train_loss": losses}
    return Outcome("; ".join(phrases), top1, std, rows=tuple(rows), details=details)


def _run_draw(
    task: Task, recipe: Recipe, train: Split, test: Split, draw: int, title: str
) -> tuple[dict[str, Any], float | None, float | None]:
    """Trains and tests one draw; returns its row, and the training losses of its first and last epoch.

    A loss that is no number is None.
    """
    config = task.settings
    assert task.data is not None
    seed = draw_seed(task.config.seed, draw)
    model = Classifier(task, len(task.data.classes or ()), seed, frozen=False)
    multipliers = [(model.heads, config.head_lr_multiplier)]
    fitted = train_classifier(recipe, model, train, seed, multipliers=multipliers, title=title)
    reached = measure_accuracy(task, model, test)[0]
    top1, top5 = (None, None) if fitted.diverged() else reached
    row = {
        "label_fraction": config.label_fraction,
        "images": len(train),
        "draw": draw,
        "batch": recipe.batch,
        "rate": recipe.rate,
        "top1": top1,
        "top5": top5,
    }
    return (row, *fitted.first_and_last)
