"""Nearest class mean: each test image gets the class whose mean feature lies nearest by cosine similarity."""

import torch
from torch.nn.functional import normalize

from ssl_zoo import Outcome, Task, protocol, section


@section
class CentroidConfig:
    """The keys that `centroid.` takes."""

    center: bool = False
    """Whether the mean of all training features is subtracted first."""


@protocol("centroid", config=CentroidConfig, holds_features=True)
def centroid(task: Task) -> Outcome:
    """Scores the nearest class mean on frozen features."""
    features, settings = task.features, task.settings
    offset = features.train.mean(0) if settings.center else torch.zeros_like(features.train[0])
    train, test = (normalize(part - offset) for part in (features.train, features.test))  # (M, F), (N, F)
    classes = features.train_labels.unique()  # (C,)
    means = torch.stack([train[features.train_labels == label].mean(0) for label in classes])  # (C, F)
    predicted = classes[(test @ normalize(means).T).argmax(1)]  # (N,)
    top1 = (predicted == features.test_labels).double().mean().item()
    return Outcome(
        f"nearest of {len(classes)} class means by cosine similarity", top1, rows=({"top1": top1},)
    )
