"""A set of images behind one interface, in memory or as files, and the sets that make up a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from typing_extensions import Self

from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data.bands import Bands, each_band
from ssl_zoo.data.train_loader import TrainLoader

__all__ = ["SMALL_SIDE", "Data", "Split", "plain_view"]

SMALL_SIDE = 96  # pixels; images whose shorter side is at most this are small (digits, CIFAR, STL-10)

Image = TypeVar("Image", bound=Any)  # a uint8 or uint16 tensor (..., C, H, W), a PIL image or bands


class Split(ABC):
    """Set of images.

    Attributes:
        labels: (N,) int64, or None.
        names: paths relative to the folder they are in, or None; of many images each is made when it is asked for.
        channels: of an image.
        faults: images of the batch yielded last by `plain_batches` that could not be read: position in it -> reason.
            Empty but for a `SkippingSplit`, as another split raises an error.
        interpolation: of the evaluation view.
    """

    faults: Mapping[int, str] = MappingProxyType({})
    interpolation: str = "bilinear"
    labels: Tensor | None
    names: Sequence[str] | None
    channels: int

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @abstractmethod
    def select(self, indices: Tensor | Sequence[int]) -> Split:
        """Returns the images at these positions, in this order."""

    def resized(self, interpolation: str) -> Self:
        """Returns this split, whose evaluation view is from now on resized in this way."""
        self.interpolation = interpolation
        return self

    @abstractmethod
    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        """Yields the images in order, in the evaluation view: (n, C, size, size), uint8 or, of 16 bits, uint16; see
        `plain_view`.

        They may share memory with the split: don't write to them.

        Raises:
            UserError: an image cannot be read.
        """

    @abstractmethod
    def train_loader(
        self, batch_size: int, views: Sequence[ViewConfig], seed: int, part: tuple[int, int] = (0, 1)
    ) -> TrainLoader:
        """Returns the loader of shuffled batches.

        Args:
            batch_size: images per batch, over all processes.
            views: the views of an image, one entry each. Files are cropped to them in the worker processes;
                images in memory are cropped on the device, and the views are not looked at.
            seed: of the order and of the crops.
            part: (rank, world_size): the rank-th of `world_size` equal parts of each batch.

        Raises:
            UserError: the batch size exceeds the number of images; while iterating, an image cannot be read.
        """


@dataclass(frozen=True)
class Data:
    """The splits of a data set.

    `labelled` is `train` itself, or its labelled first part (STL-10, whose other training images have
    no labels).
    """

    train: Split  # what is trained on; its labels reach a method that asks for them, and no other
    labelled: Split | None  # labelled training images, for kNN and probe; None without labels
    test: Split | None  # labelled, but for a holdout of unlabelled images; None where there is none
    classes: tuple[str, ...] | None  # names, in the order of the labels; None without labels
    channels: int
    skipped: tuple[str, ...] = ()  # paths of the files that `on_error=skip` left out
    passed_over: Sequence[str] = ()  # paths of files beside the images that are plainly none
    emptied: tuple[str, ...] = ()  # classes that `on_error=skip` left out, as they hold no images
    digest: str | None = (
        None  # by which a run notices that it would continue on other images; None: not looked at
    )

    @property
    def unreadable(self) -> dict[str, str]:
        """Paths of the files that `on_error=skip` left out since the folders were read, with the reasons."""
        return {
            path: why
            for split in (self.train, self.test)
            for path, why in (getattr(split, "unreadable", None) or {}).items()
        }


def plain_view(image: Image, size: int, interpolation: str = "bilinear") -> Image:
    """Returns the evaluation view, size x size pixels: resize with antialias, bilinear or bicubic, then centre crop.

    The shorter side becomes `size` for small images (at most 96 pixels), whose rim is needed, and
    round(size * 256 / 224) for larger ones, as ImageNet models are evaluated.
    """
    if isinstance(image, Bands):
        bands: Image = each_band(image, lambda band: plain_view(band, size, interpolation))
        return bands
    if isinstance(image, Tensor) and image.dtype == torch.uint16:
        deep: Any = plain_view(image.float(), size).round_().to(torch.uint16)
        return cast("Image", deep)
    height, width = F.get_size(image)
    side = size if min(height, width) <= SMALL_SIDE else round(size * 256 / 224)
    resized = F.resize(image, [side], interpolation=F.InterpolationMode(interpolation), antialias=True)
    view: Image = F.center_crop(resized, [size, size])
    return view
