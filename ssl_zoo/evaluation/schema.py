"""The typed configuration of an evaluation: frozen dataclasses, their defaults and their ranges.

As in `ssl_zoo.config.schema` every key is declared once, with its type, range, default and meaning.
`configs/protocol/*.yaml` and the command line fill these classes in.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema import (
    BackboneConfig,
    Count,
    CropConfig,
    DataConfig,
    Folder,
    Fraction,
    NonNegative,
    OptimizerConfig,
    Positive,
    Probability,
    Seed,
    section,
)

__all__ = [
    "EvalConfig",
    "FewLabelsConfig",
    "FinetuneConfig",
    "KnnConfig",
    "LabelFreeConfig",
    "LinearCachedConfig",
    "LinearConfig",
    "SupervisedConfig",
    "SupervisedOptimizerConfig",
]


@section
class KnnConfig:
    """Weighted kNN by cosine similarity, each k with each temperature. InstDisc, Section 3.4."""

    k: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    """Neighbours. null: the run's own (which is the headline), and of 10, 20, 100 and 200 those up to a tenth of the
    labelled images."""
    temperature: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.07, 0.1)
    """Temperature T of a neighbour's weight, exp(cosine similarity / T)."""
    chunk_size: Count = 2048
    """Images that are compared at a time; memory grows with its square."""


@section
class FewLabelsConfig:
    """Logistic regression on a few labels, over several draws of them."""

    labels_per_class: tuple[Count, ...] = (1, 5, 10)
    """Labelled training images of each class, one figure for each number."""
    label_fraction: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.01, 0.1)
    """Fraction of each class's training images that are labelled, at least one image; one figure for each."""
    draws: Count = 10
    """Draws of the labels; accuracies are means over them."""

    def __post_init__(self) -> None:
        if not (self.labels_per_class or self.label_fraction):
            raise ValueError(
                "labels_per_class or label_fraction must list a number of labels; received both empty; set "
                "few_labels.labels_per_class=[1,5,10]"
            )


@section
class LinearCachedConfig:
    """Linear classifier on features that are extracted once; rate and weight decay are chosen on held-out training
    images."""

    lr: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    """Learning rates of SGD to choose from, on standardised features."""
    weight_decay: Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
    """Weight decays to choose from."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of each class's training images that are held out for the choice."""
    epochs: Count = 100
    """Passes over the features."""
    batch_size: Count = 256
    """Images per step; where there are fewer images, all of them."""


@section
class SupervisedOptimizerConfig(OptimizerConfig):
    """Optimizer of a classifier: that of pre-training, with two more keys of supervised recipes."""

    nesterov: bool = False
    """Whether the momentum of sgd is Nesterov's."""
    milestones: tuple[Fraction, ...] = ()
    """Fractions of the training after each of which the rate is divided by 10, in place of the cosine."""

    def __post_init__(self) -> None:
        if self.nesterov and (self.name != "sgd" or self.momentum == 0):
            raise ValueError(
                f"nesterov=true is of sgd with momentum; received name={self.name}, momentum={self.momentum}; set "
                "nesterov=false, or name=sgd and momentum=0.9"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(
                f"milestones must ascend; received {list(self.milestones)}; set for instance milestones=[0.6,0.8]"
            )


@section
class SupervisedConfig:
    """Training of a classifier on labelled, augmented images.

    Where `crop` and `flip` are null they are the papers' for photographs: 0.08 to 1 of the area, and half of the
    images mirrored. A run whose views are never mirrored (digits, text) was trained on images that a mirror or a small
    crop spoils: its classifiers see the run's own crop and no flip.
    """

    optimizer: SupervisedOptimizerConfig = SupervisedOptimizerConfig(weight_decay=0.0)
    epochs: Count = 90
    """Passes over the labelled training images."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Images per step; where there are fewer images, all of them, and the rate follows `optimizer.lr_scaling`."""
    crop: CropConfig | None = None
    """Random resized crop of the training images. null: the papers', or the run's own where its views are never
    mirrored."""
    flip: Probability | None = None
    """Probability of a horizontal flip. null: 0.5, or 0 where the run's views are never mirrored."""
    source: str = ""
    """Where the recipe comes from, for the record."""


@section
class LinearConfig(SupervisedConfig):
    """Linear classifier on the frozen backbone, whose BN statistics are frozen too."""

    lr_candidates: tuple[Positive, ...] = ()
    """Rates to try for optimizer.lr; the best on held-out training images is taken."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of each class's training images that are held out for that choice."""

    def __post_init__(self) -> None:
        if len(set(self.lr_candidates)) < len(self.lr_candidates):
            raise ValueError(
                f"lr_candidates must differ from one another; received {list(self.lr_candidates)}; leave out "
                "the repeated"
            )
        if self.lr_candidates and self.optimizer.lr not in self.lr_candidates:
            raise ValueError(
                f"lr_candidates are tried in place of optimizer.lr; received "
                f"optimizer.lr={self.optimizer.lr} beside lr_candidates={list(self.lr_candidates)}; set "
                f"linear.lr_candidates=[{self.optimizer.lr}], or linear.lr_candidates=[] to take it"
            )


@section
class FinetuneConfig(SupervisedConfig):
    """Fine-tuning: backbone and classifier are trained together."""

    label_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of each class's training images that are labelled, at least one image."""
    draws: Count = 1
    """Draws of the labels, each with a seed of its own; with label_fraction=1 seeds alone."""
    head_lr_multiplier: Positive = 1.0
    """Multiplies the learning rate of the classifier."""


@section
class LabelFreeConfig:
    """Scores that need no labels: RankMe and others."""

    samples: Annotated[int, Field(ge=2)] = 25600
    """Images that are scored, at most. RankMe's number, https://arxiv.org/abs/2210.02885."""


@section
class EvalConfig:
    """A protocol on an encoder and its data; `protocols.eval_config` adds the block of each kind."""

    protocol: str
    """Name of a protocol, or several, see `ssl-zoo list protocols`. Without it knn, or without labels label_free."""
    kind: str
    """Which code is run. It follows from the protocol."""
    run: Folder | None = None
    """A run directory or a checkpoint. null: the timm model that `backbone` names."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder. random: the encoder before its training, a baseline."""
    backbone: BackboneConfig | None = None
    """A timm model, where there is no run."""
    data: DataConfig | None
    """Images other than the run's, as in training. null: detection, which has folders of its own."""
    size: Count
    """Side of the square view, in pixels. Without it that of the training."""
    seed: Seed = 0
    """Seed of labels, classifiers' weights and augmentation."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the encoder. auto: features in fp32, training in what is fastest."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """The device. auto: a GPU where there is one."""
    threads: Count | None = None
    """CPU threads. null: torch's choice."""
    progress: bool = True
    """Whether progress is printed."""
    out: Folder | None = None
    """Folder of the eval-*.json. null: the run directory."""
