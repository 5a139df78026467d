"""Evidence by which a run is judged: what was measured, and the figures that the rules of `verdict` read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .learning import Accuracy, Difference, Distances, accuracy_gain, alignment_fall

__all__ = [
    "Classifier",
    "Evidence",
    "is_finite",
    "needed_directions",
    "relative_alignment",
    "residual_energy",
]

UNLABELLED_DIRECTIONS = 2.0  # `verdict` derives it
# Metrics that the rules read.
READ = (
    "output_std_ratio",
    "center_ratio",
    "residual_ratio",
    "spectral_rank",
    "alignment",
)  # alignment: of two views


@dataclass(frozen=True)
class Classifier:
    """Accuracies of one classifier; None is what was not measured."""

    name: str
    trained: Accuracy
    untrained: Accuracy | None = None
    pixels: Accuracy | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Figures by which a run is judged; None is what was not measured."""

    epochs: int | None  # trained; None: not known
    loss: float | None  # the last; None if no step was made
    weights_finite: bool
    diagnostics: Mapping[str, float]  # metrics of the embeddings, by key
    initial: (
        Mapping[str, float] | None
    )  # the untrained encoder's, of the same images and views where `paired`
    distances: Distances | None = None  # of the embeddings of `diagnostics`
    initial_distances: Distances | None = None
    width: int | None = None  # D of the embeddings; None: many more than C
    images: int | None = None  # N of the diagnosed ones; None: many more than C
    classes: int | None = None  # C, of the images diagnosed; one class tells as much as no labels
    classifiers: tuple[Classifier, ...] = ()  # on the last epoch's features
    paired: bool = True  # whether the untrained encoder was measured on the same images and views
    highest: float | None = (
        None  # residual energy that the training has had; None: low is low, whatever it was
    )
    start: str = "untrained encoder"  # name in the sentences of what `initial` was measured of

    @property
    def labelled(self) -> bool:
        """Whether there are classes to tell apart."""
        return self.classes is not None and self.classes > 1

    @property
    def energy_has_fallen(self) -> bool:
        """Whether the residual energy is below half of the highest, where that is known.

        An untrained encoder maps all images into a narrow cone, and may look collapsed before it has learned anything.
        A training that starts in a cone must first leave it or narrow it.
        """
        return self.highest is None or residual_energy(self.diagnostics) < self.highest / 2

    @property
    def gains(self) -> list[Difference]:
        """Gains in accuracy over the untrained encoder, of each classifier of which both were measured."""
        return [
            accuracy_gain(classifier.name, classifier.trained, classifier.untrained)
            for classifier in (self.classifiers if self.labelled else ())
            if classifier.untrained is not None and math.isfinite(classifier.untrained.top1)
        ]

    @property
    def fall(self) -> Difference | None:
        """Fall of the relative alignment against the untrained encoder's; None where that was not measured."""
        if self.initial is None or not is_finite(self.initial):
            return None
        now, before = relative_alignment(self.diagnostics), relative_alignment(self.initial)
        return alignment_fall(now, before, self.distances, self.initial_distances, paired=self.paired)


def residual_energy(figures: Mapping[str, float]) -> float:
    """1 - m_o^2: the fraction of a unit vector's squared length that tells images apart, in [0, 1].

    It is also 1 minus the mean cosine similarity over all pairs of images (each with itself included).
    """
    return max(0.0, 1.0 - figures["center_ratio"] ** 2)


def relative_alignment(figures: Mapping[str, float]) -> float:
    """Squared distance between views of an image over that between images, 2 (1 - m_o^2).

    0: the views coincide. 1: they are as far apart as any two images, as are embeddings that are all equal. It does
    not fall when a network just shrinks all distances, as the alignment does.
    """
    energy = residual_energy(figures)
    if energy < torch.finfo(torch.float32).eps ** 2:  # equal up to rounding
        return 1.0
    return figures["alignment"] / (2.0 * energy)


def needed_directions(classes: int | None, width: int | None = None, images: int | None = None) -> float:
    """Returns the least spectral rank that is asked of embeddings; arguments as in `Evidence`."""
    simplex = classes - 1.0 if classes is not None and classes > 1 else UNLABELLED_DIRECTIONS
    shown = (0.0 if width is None else 1 / width) + (0.0 if images is None else 1 / max(images - 1, 1))
    return min(simplex, 1 / shown if shown else math.inf)


def is_finite(figures: Mapping[str, float]) -> bool:
    """Whether all metrics that the rules read are finite."""
    return all(math.isfinite(figures[key]) for key in READ if key in figures or key != "alignment")
