"""The input and the output of a protocol: `Task` and `Outcome`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import KnnMonitorConfig, ViewConfig
from ssl_zoo.data import Data, Split
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.schema import EvalConfig
from ssl_zoo.features import extract
from ssl_zoo.hardware.device import Hardware

__all__ = ["FrozenFeatures", "Outcome", "Subject", "Task", "finite_or_none"]


@dataclass(frozen=True)
class Subject:
    """The encoder that is evaluated, with the preprocessing it was trained with."""

    title: str
    backbone: nn.Module  # normalised images (N, C, H, W) to features (N, F); on its device, evaluating
    num_features: int
    channels: int
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    identity: dict[str, Any]  # for the record: run, epoch, digest of the weights ... or the timm model
    folder: Path  # of the results, unless `out` names another
    views: tuple[ViewConfig, ...] = ()  # how the images evaluated on are augmented in pre-training
    strides_single_pixels: bool = False  # see `hardware.choose_hardware`
    knn: KnnMonitorConfig = field(default_factory=KnnMonitorConfig)  # how its run measures kNN


class FrozenFeatures(NamedTuple):
    """Features with labels, for classifiers on a frozen backbone; all on the device."""

    train: Tensor  # (M, F) float32, of the training images
    train_labels: Tensor  # (M,) int64
    test: Tensor  # (N, F)
    test_labels: Tensor  # (N,)


@dataclass
class Task:
    """An encoder, a data set and the settings.

    Attributes:
        log: is given a line of progress.
    """

    config: EvalConfig
    subject: Subject
    data: Data | None  # None for detection
    hardware: Hardware  # of features: fp32 unless another precision is asked for
    training: Hardware  # of what trains: the fastest precision that computes rightly
    log: Callable[[str], None] = field(default=lambda line: None)
    shared: dict[str, FrozenFeatures] = field(default_factory=dict)  # among the protocols of a command
    holds_features: bool = False  # a protocol needs all features at once, so that none need stream them

    @property
    def settings(self) -> Any:
        """The settings of the protocol's kind, of the class that is registered with it."""
        return getattr(self.config, self.config.kind)

    @property
    def features(self) -> FrozenFeatures:
        """Features of all labelled images in the evaluation view, extracted once for all protocols of a command."""
        if "features" not in self.shared:
            self.shared["features"] = self._extract()
        return self.shared["features"]

    def _extract(self) -> FrozenFeatures:
        labelled, test = self.labelled_splits()
        assert labelled.labels is not None
        assert test.labels is not None
        device = self.hardware.device
        train, tested = (torch.cat(list(self.stream(split))) for split in (labelled, test))
        return FrozenFeatures(train, labelled.labels.to(device), tested, test.labels.to(device))

    def stream(self, split: Split) -> Iterator[Tensor]:
        """Yields the features of a split batch by batch, (n, F) float32 on the device."""
        subject = self.subject
        return extract(subject.backbone, split, self.config.size, subject.mean, subject.std, self.hardware)

    def labelled_splits(self) -> tuple[Split, Split]:
        """Returns the labelled training images and the test images.

        Raises:
            UserError: the data has no labels, fewer than two classes, or no test images.
        """
        data = self.data
        assert data is not None
        assert self.config.data is not None
        name = self.config.data.name
        if data.labelled is None or data.classes is None:
            raise UserError(
                f"protocol={self.config.protocol} compares predictions with labels, and data '{name}' has none; sort "
                "the images into a folder per class, name labelled data with data=, or use protocol=label_free"
            )
        if data.test is None or data.test.labels is None:
            raise UserError(
                f"protocol={self.config.protocol} needs test images with labels, and data '{name}' has none; set "
                "data.test=FOLDER, or data.holdout=0.2 to test on a part of the training images"
            )
        assert data.labelled.labels is not None
        present = len(torch.unique(data.labelled.labels))
        if present < 2:
            raise UserError(
                f"a classifier needs training images of at least 2 classes; received {len(data.labelled)} of "
                f"{present}; set another data.train or data.limit"
            )
        return data.labelled, data.test

    def check_holdout(self) -> None:
        """Refuses classes of one labelled training image each, of which none can be held out.

        Raises:
            UserError: no class has two; or as in `labelled_splits`.
        """
        labels = self.labelled_splits()[0].labels
        assert labels is not None
        if int(torch.unique(labels, return_counts=True)[1].max()) < 2:
            raise UserError(
                f"protocol={self.config.protocol} holds out training images of each class that has two or more; "
                f"received {len(labels)} images, each of another class; add labelled images or use protocol=few_labels"
            )


@dataclass(frozen=True)
class Outcome:
    """The figures of a protocol. Accuracies are fractions of 1; None is what was not measured."""

    in_words: str  # the protocol, exactly, in a sentence
    top1: float | None = None  # the headline
    top1_std: float | None = None  # over draws or seeds
    metric: str = "top1"  # what the headline is, where it is no accuracy
    rows: tuple[dict[str, Any], ...] = ()  # all figures, one row each, alike in their keys
    details: dict[str, Any] = field(default_factory=dict)  # what was chosen, and how


def finite_or_none(value: float | None) -> float | None:
    """Returns a figure, or None where it could not be measured and is nan."""
    return None if value is None or math.isnan(value) else value
