"""Figures of an encoder: metrics of its embeddings, accuracies of kNN and the linear probe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ssl_zoo.config.schema import MonitorConfig
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.monitors.knn import knn_hits
from ssl_zoo.monitors.learning import Accuracy, Distances
from ssl_zoo.monitors.probe import ProbeResult, few_label_top1

__all__ = ["Labelled", "Measurement", "Scores", "score_features"]


@dataclass(frozen=True)
class Scores:
    """Accuracies of classifiers on frozen features; None without labels or test images, or where not asked for."""

    knn: Accuracy | None = None
    probe: ProbeResult | None = None

    @property
    def knn_top1(self) -> float | None:
        """Top-1 of kNN; nan where a feature is not finite."""
        return None if self.knn is None else self.knn.top1

    @property
    def linear(self) -> Accuracy | None:
        """The accuracy of the linear probe."""
        return None if self.probe is None else Accuracy(self.probe.mean, self.probe.hits, self.probe.draws)


class Labelled(NamedTuple):
    """Features with labels."""

    features: Tensor  # (n, F)
    labels: Tensor  # (n,) int64


@dataclass(frozen=True)
class Measurement:
    """Figures of a method's encoder."""

    diagnostics: dict[str, float]  # metrics of the embeddings, by key
    scores: Scores
    distances: Distances | None = None  # of the embeddings; None where one is not finite

    @property
    def row(self) -> dict[str, float | None]:
        """The figures in `metrics.csv` and TensorBoard, by column."""
        figures = {"knn_top1": self.scores.knn_top1, **self.diagnostics}
        return {key: value for key, value in figures.items() if key in declared(CSV)}


def score_features(
    labelled: Labelled, test: Labelled, monitor: MonitorConfig, *, k: int | None, draws: int | None
) -> Scores:
    """Scores features of test images by those of the labelled training set.

    Args:
        labelled: the training set.
        test: images to classify.
        monitor: temperature of kNN, labels per class of the probe.
        k: neighbours, at most all; None: no kNN.
        draws: of the probe; None: no probe.
    """
    few = monitor.probe.labels_per_class
    return Scores(
        None if k is None else _knn(labelled, test, min(k, len(labelled.labels)), monitor.knn.temperature),
        None if draws is None else few_label_top1(*labelled, *test, few, draws),
    )


def _knn(labelled: Labelled, test: Labelled, k: int, temperature: float) -> Accuracy:
    hits = knn_hits(*labelled, *test, k=k, temperature=temperature)
    if hits is None:
        return Accuracy(math.nan)
    return Accuracy(float(hits.sum().item() / len(hits)), tuple(hits.double().tolist()))
