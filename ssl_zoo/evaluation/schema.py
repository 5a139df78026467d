"""The typed configuration of an evaluation: frozen dataclasses, their defaults and their ranges.

As in `ssl_zoo.config.schema` every key stands here once, with its unit and its range. `configs/protocol/*.yaml` and the
command line fill these classes in.
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
    Index,
    NonNegative,
    OptimizerConfig,
    Positive,
    Seed,
    section,
)

__all__ = [
    "DetectionConfig",
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
    """Weighted kNN by cosine similarity; each k with each temperature."""

    k: Annotated[tuple[Count, ...], Field(min_length=1)] | None = (
        None  # null: the run's own, the headline, and those of 10, 20, 100 and 200 up to a tenth of the labelled images
    )
    temperature: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.07, 0.1)
    chunk_size: Count = (
        2048  # images compared at a time, of the bank and the queries; memory goes with its square
    )


@section
class FewLabelsConfig:
    """Logistic regression on a few labels, several draws of them."""

    labels_per_class: tuple[Count, ...] = (1, 5, 10)  # labels per class
    label_fraction: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (
        0.01,
        0.1,
    )  # of each class, at least one
    draws: Count = 10

    def __post_init__(self) -> None:
        if not (self.labels_per_class or self.label_fraction):
            raise ValueError(
                "labels_per_class or label_fraction must list a number of labels; received both empty; set "
                "few_labels.labels_per_class=[1,5,10]"
            )


@section
class LinearCachedConfig:
    """A linear classifier on features extracted once; rate and weight decay chosen on held-out training images."""

    lr: Annotated[tuple[Positive, ...], Field(min_length=1)] = (
        0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0,
    )  # of SGD, on standardised features  # fmt: skip
    weight_decay: Annotated[tuple[NonNegative, ...], Field(min_length=1)] = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
    holdout: Annotated[float, Field(gt=0, lt=1)] = (
        0.2  # share of the training images that the choice is made on
    )
    epochs: Count = 100
    batch_size: Count = 256  # lower where there are fewer images, which are then one batch


@section
class SupervisedOptimizerConfig(OptimizerConfig):
    """That of pre-training, with what supervised recipes have besides."""

    nesterov: bool = False  # of sgd
    # Shares of the training after each of which the rate is a tenth of what it was; in place of the cosine.
    milestones: tuple[Fraction, ...] = ()

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
    images mirrored. A run whose own views are never mirrored (digits, text) was trained on images that a
    mirror or a small crop spoils: they are then its own crop and no flip.
    """

    optimizer: SupervisedOptimizerConfig = SupervisedOptimizerConfig(weight_decay=0.0)
    epochs: Count = 90
    batch_size: Annotated[int, Field(ge=2)] = (
        256  # lower where there are fewer images, which are then one batch; the rate goes with it
    )
    crop: CropConfig | None = None  # null: see above
    flip: Fraction | None = None  # probability; null: see above
    source: str = ""  # where the recipe comes from, for the record


@section
class LinearConfig(SupervisedConfig):
    """A linear classifier on the frozen backbone, BN statistics frozen too."""

    lr_candidates: tuple[
        Positive, ...
    ] = ()  # for optimizer.lr: the best on held-out training images is taken
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2  # share of each class held out to choose the rate on

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
    """Backbone and classifier trained together."""

    label_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of each class's labels, at least one
    draws: Count = 1  # draws of the labels, each with a seed of its own; with label_fraction=1 seeds alone
    head_lr_multiplier: Positive = 1.0  # the classifier's rate, as a multiple of the backbone's


@section
class LabelFreeConfig:
    """Scores that need no labels."""

    samples: Annotated[int, Field(ge=2)] = 25600  # images at most


@section
class DetectionConfig:
    """Fine-tuning of a detector: Faster R-CNN (boxes) or Mask R-CNN (boxes and masks)."""

    format: Literal["voc", "coco"] = "voc"
    train: Folder | tuple[Folder, ...] | None = (
        None  # voc: the folder of a year (Annotations/, ImageSets/, JPEGImages/), or several; coco: the images
    )
    test: Folder | None = None  # null: the first of train
    train_split: str = "trainval"  # voc: the list in ImageSets/Main; coco: the annotation file's path
    test_split: str = "test"
    masks: bool = False  # Mask R-CNN; coco only
    neck: Literal["fpn", "c4"] = "fpn"  # c4: one map of stride 16, the last stage as head; ResNets only
    iterations: Count = 24000
    batch_size: Count = 16
    lr: Positive = 0.02  # for 16 images a batch; linear in the batch
    weight_decay: NonNegative = 1e-4
    milestones: tuple[Fraction, ...] = (0.75, 0.9167)
    warmup_iterations: Index = 100  # iterations
    min_size: Count = 800  # pixels of an image's shorter side
    train_sizes: tuple[Count, ...] = ()  # the same in training, one drawn per image; none: min_size
    max_size: Count = 1333
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = (
        0  # stages of the backbone that stay as they are; of a ResNet 1 is the stem
    )
    fpn_channels: Count = 256  # channels of the maps; fpn only
    box_head_width: Count = 1024  # width of the box head; fpn only
    regions_per_image: Count = 512  # per image, that the heads are trained on
    workers: Index = 2  # processes that decode images


@section
class EvalConfig:
    """One protocol on one encoder and one data set; `protocols.eval_config` adds the block of each kind."""

    protocol: str  # the name of the YAML
    kind: str  # of the protocol, see `ssl-zoo list protocols`
    run: Folder | None = None  # a run directory or a checkpoint; null: the timm model that `backbone` names
    weights: Literal["trained", "random"] = "trained"  # random: the encoder as it was before its training
    backbone: BackboneConfig | None = None  # without a run
    data: DataConfig | None  # null: detection, which has folders of its own
    size: Count  # pixels, of the square view
    seed: Seed = 0  # of labels, classifiers' weights, augmentation
    precision: Literal["auto", "fp32", "bf16", "fp16"] = (
        "auto"  # auto: features in fp32, training as is fastest
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    threads: Count | None = None  # CPU threads; null: torch's choice
    progress: bool = True
    out: Folder | None = None  # folder of the eval-*.json; null: the run directory
