"""The typed configuration of detection: the block `detection` of a protocol."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema import Count, Folder, Fraction, Index, NonNegative, Positive, section

__all__ = ["DetectionConfig"]


@section
class DetectionConfig:
    """Fine-tuning of a detector: Faster R-CNN (boxes) or Mask R-CNN (boxes and masks)."""

    format: Literal["voc", "coco"] = "voc"
    """Layout of the data: Pascal VOC's or COCO's."""
    train: Folder | tuple[Folder, ...] | None = None
    """Training images. voc: the folder of a year (Annotations/, ImageSets/, JPEGImages/), or several; coco: the folder
    of the images."""
    test: Folder | None = None
    """Test images, as `train`. null: the first folder of `train`."""
    train_split: str = "trainval"
    """voc: the list in ImageSets/Main; coco: path of the annotation file."""
    test_split: str = "test"
    """The same of the test images."""
    masks: bool = False
    """Whether masks are predicted too: Mask R-CNN, with format=coco."""
    neck: Literal["fpn", "c4"] = "fpn"
    """Maps that the detector sees. fpn: a pyramid; c4: one map of stride 16, the last stage as head; ResNets."""
    iterations: Count = 24000
    """Optimizer steps."""
    batch_size: Count = 16
    """Images per step."""
    lr: Positive = 0.02
    """Learning rate for 16 images a batch; it grows linearly with the batch."""
    weight_decay: NonNegative = 1e-4
    """Weight decay of SGD."""
    milestones: tuple[Fraction, ...] = (0.75, 0.9167)
    """Fractions of the training after each of which the rate is divided by 10."""
    warmup_iterations: Index = 100
    """Steps in which the rate rises to its peak."""
    min_size: Count = 800
    """Length to which an image's shorter side is resized, in pixels."""
    train_sizes: tuple[Count, ...] = ()
    """Lengths of the shorter side in training, one drawn per image. Without any: min_size."""
    max_size: Count = 1333
    """Largest length of an image's longer side, in pixels."""
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = 0
    """Stages of the backbone, from its input, that are not trained. The first of a ResNet is its stem."""
    fpn_channels: Count = 256
    """Channels of the pyramid's maps, with neck=fpn."""
    box_head_width: Count = 1024
    """Width of the box head, with neck=fpn."""
    regions_per_image: Count = 512
    """Regions of each image that the heads are trained on."""
    workers: Index = 2
    """Processes that decode images."""
