"""A linear classifier on features that are extracted once: how well do planes separate the classes?

Rate and weight decay are chosen on a part of the training images, held out class by class; the classifier is then
trained anew on all of them, and the test images are looked at once. Images are not augmented, so this is no figure
of the papers, which train on random crops; it takes seconds. See `ssl_zoo.evaluation.linear_sweep` for the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ssl_zoo.data.sampling import drawn_order, split_classes
from ssl_zoo.evaluation.linear_sweep import (
    MOMENTUM,
    Pair,
    PairScore,
    scale_of,
    score_pairs,
    sweep,
    train_pairs,
)
from ssl_zoo.evaluation.task import Outcome, Task, finite_or_none

__all__ = ["check", "choose", "run"]


def check(task: Task) -> None:
    """Refuses data without labels, and classes of one image each, of which none can be held out.

    Raises:
        UserError: either.
    """
    task.check_holdout()


def run(task: Task) -> Outcome:
    """Chooses the pair on held-out training images, trains on all and tests once."""
    settings, seed, data = task.settings, task.config.seed, task.features
    pairs = [Pair(lr, decay) for lr in settings.lr for decay in settings.weight_decay]
    classes, y = torch.unique(data.train_labels, return_inverse=True)  # (C,), (M,)
    parts = split_classes(y.cpu(), settings.holdout, drawn_order(seed))
    kept, held = (positions.to(y.device) for positions in parts)
    description = (
        f"linear classifier on frozen standardised features, without augmentation: SGD, momentum {MOMENTUM:g}, "
        f"cosine, {settings.epochs} epochs, batch {min(settings.batch_size, len(y))}; lr and weight decay of "
        f"{len(pairs)} pairs chosen on {len(held)} held-out training images"
    )
    if not (data.train.isfinite().all() and data.test.isfinite().all()):
        return Outcome(
            f"{description}; not measured, as a feature is not finite", rows=(_row(None, None, None),)
        )
    scale = scale_of(data.train)
    task.log(f"{len(pairs)} pairs of rate and weight decay, {len(kept)} images, {settings.epochs} epochs")
    train = (scale, len(classes), settings.epochs, settings.batch_size, seed)
    scores = sweep(data.train, y, kept, held, pairs, *train)
    best = choose(scores)
    model = train_pairs(data.train, y, torch.arange(len(y), device=y.device), [pairs[best]], *train)
    [final] = score_pairs(model, scale, data.test, _index(data.test_labels, classes))
    edges = _edges(pairs[best], settings.lr, settings.weight_decay)
    for edge in edges:
        task.log(edge)
    lr, decay = pairs[best]
    chosen = f"then trained on all {len(y)} with lr={lr:g}, weight decay={decay:g}"
    return Outcome(
        in_words="; ".join([f"{description}, {chosen}", *edges]),
        top1=finite_or_none(final.top1),
        rows=(_row(pairs[best], scores[best].top1, final.top1),),
        details={
            **pairs[best]._asdict(),
            "at_edge": edges,
            "images": len(y),
            "holdout_images": len(held),
            "sweep": [_row(pair, held_out.top1, None) for pair, held_out in zip(pairs, scores, strict=True)],
        },
    )


def choose(scores: Sequence[PairScore]) -> int:
    """Returns the position of the best: the highest top-1, of equal ones the lowest loss; diverged ones last."""
    return min(
        range(len(scores)),
        key=lambda i: (math.isnan(scores[i].loss), -scores[i].top1, scores[i].loss),
    )


def _index(labels: Tensor, classes: Tensor) -> Tensor:
    """Positions (N,) of labels among the sorted classes (C,); -1 where a label is none of them."""
    position = torch.searchsorted(classes, labels).clamp(max=len(classes) - 1)
    return torch.where(classes[position] == labels, position, -1)


def _edges(pair: Pair, rates: Sequence[float], decays: Sequence[float]) -> list[str]:
    """Reports where the choice is the largest or smallest of its list, beyond which a better one may lie."""
    warnings = []
    for name, value, values in (("lr", pair.lr, rates), ("weight_decay", pair.weight_decay, decays)):
        if min(values) == max(values) or value == 0:
            continue
        for end, extreme in (("largest", max), ("smallest", min)):
            if value == extreme(values):
                warnings.append(
                    f"the {name} chosen, {value:g}, is the {end} of linear_cached.{name}: extend the list"
                )
    return warnings


def _row(pair: Pair | None, held: float | None, test: float | None) -> dict[str, Any]:
    lr, decay = (None, None) if pair is None else pair
    return {
        "lr": lr,
        "weight_decay": decay,
        "top1_holdout": finite_or_none(held),
        "top1": finite_or_none(test),
    }
