"""Scores of frozen features that need no labels: of their spectrum, and of how they lie on the sphere.

They are of the backbone's features, on training images as the encoder sees them when it is evaluated; the run's own
diagnostics are of the embeddings of augmented views. Features after a ReLU have no negative numbers, so their
center_ratio is never near 0. What each score says stands in `ssl_zoo.monitors.label_free` and `ssl_zoo.metrics`.
"""

from __future__ import annotations

import dataclasses

import torch

from ssl_zoo.data.sampling import random_order
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.task import Outcome, Task, finite_or_none
from ssl_zoo.metrics import LABEL_FREE, declared, measure_embeddings
from ssl_zoo.monitors.label_free import label_free

__all__ = ["check", "run"]

ON_SPHERE = 4096  # images that the diagnostics see; uniformity compares all pairs


def check(task: Task) -> None:
    """Refuses fewer than two images.

    Raises:
        UserError: there are fewer.
    """
    assert task.data is not None
    if len(task.data.train) < 2:
        raise UserError(
            f"protocol={task.config.protocol} needs at least two training images; received {len(task.data.train)}; "
            "check data.train and data.limit"
        )


def run(task: Task) -> Outcome:
    """Scores the features of at most `label_free.samples` training images, drawn once by the seed."""
    assert task.data is not None
    train = task.data.train
    # In random order, as some scores see the first of them alone.
    drawn = train.select(random_order(len(train), task.config.seed)[: task.settings.samples])
    features = torch.cat(list(task.stream(drawn)))  # (N, F)
    scores = dataclasses.asdict(label_free(features))
    near = features[:ON_SPHERE]
    # Each image is its own second view, so the alignment says nothing and is left out. The effective rank is that of
    # all features, as encoded.
    known = declared(LABEL_FREE)
    on_sphere = {
        key: value
        for key, value in measure_embeddings(near, near).items()
        if key in known and key not in scores
    }
    scores |= on_sphere
    values = {name: finite_or_none(value) for name, value in scores.items()}
    return Outcome(
        in_words=(
            f"scores without labels of frozen features ({features.shape[1]} wide) of {len(drawn)} of "
            f"{len(train)} training images; {', '.join(on_sphere)} on {len(near)} of them"
            + ("" if features.isfinite().all() else "; not measured, as a feature is not finite")
        ),
        metric="label-free scores",
        rows=tuple(
            {"score": name, "value": value, "read": known[name].reading} for name, value in values.items()
        ),
        details={"images": len(drawn), "features": features.shape[1], **values},
    )
