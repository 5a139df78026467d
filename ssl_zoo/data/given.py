"""The Dataset that a call from Python brings along: `ssl_zoo.train([...], data=dataset)`.

A configuration holds text and numbers, no object. So the Dataset stands beside it for the time of the call, and the
configuration names its class, its length and a digest, by which a resumed run knows it again.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch.utils.data import IterableDataset

from ssl_zoo.config.overrides import override_list, read_override
from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.decode import to_array
from ssl_zoo.data.folder_sample import Sides, pixels_among, sides_among
from ssl_zoo.data.image_sample import ImageSample
from ssl_zoo.data.item import content_of, header_of_item, image_of_item, label_of, split_item
from ssl_zoo.data.pixel_statistics import Statistics, measure_pixels
from ssl_zoo.errors import UserError, shown

__all__ = ["GivenData", "given", "passing", "sample_given"]

_LOOKED_AT = 64  # images, evenly spaced
_READ_TWICE = 4  # of them, to see whether they are the same each time


@dataclass(frozen=True)
class GivenData(ImageSample):
    """Datasets of images, and what some of their images are."""

    train: Any
    test: Any | None

    @property
    def kind(self) -> str:
        """The class, with its module."""
        return f"{type(self.train).__module__}.{type(self.train).__qualname__}"

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        name = type(self.train).__name__ if data.get("name") == "dataset" else data.get("name")
        return {"name": name, "dataset": self.kind, "length": len(self.train), "digest": self.digest}

    @cached_property
    def sides(self) -> Sides | None:
        """The sides of the images."""
        return sides_among([header[0] for header in self._headers])

    @cached_property
    def pixels(self) -> Pixels | None:
        """Channels and bits; None of 8-bit Pillow images."""
        return pixels_among([header[1] for header in self._headers])

    @cached_property
    def digest(self) -> str:
        """Twelve hex digits of the lengths and of some images with their labels."""
        sha = hashlib.sha256()
        for dataset in filter(None, (self.train, self.test)):
            sha.update(f"{len(dataset)}\n".encode())
            for position in _spaced(len(dataset)):
                sha.update(content_of(dataset[position]))
        return sha.hexdigest()[:12]

    def statistics(self, channels: int, bit_depth: int) -> Statistics | None:
        """Measures mean and std of each channel on some of the training images.

        Raises:
            UserError: they have other channels.
        """
        images = (split_item(self.train[position])[0] for position in _spaced(len(self.train)))
        try:
            return measure_pixels(to_array(image_of_item(image, channels, bit_depth)) for image in images)
        except ValueError as error:
            raise UserError(
                f"the images of data= must be read in data.channels: {error}; leave it out"
            ) from error

    @cached_property
    def _headers(self) -> list[tuple[tuple[int, int], Pixels | None]]:
        return [header_of_item(split_item(self.train[i])[0]) for i in _spaced(len(self.train))]


_GIVEN: ContextVar[GivenData | None] = ContextVar("given", default=None)


def given() -> GivenData | None:
    """Returns the Dataset of this call; None where there is none."""
    return _GIVEN.get()


def sample_given(data: Mapping[str, Any]) -> ImageSample | None:
    """Returns the Dataset of this call, which is a sample of its images; None where there is none."""
    return given()


@contextmanager
def passing(overrides: Sequence[str], train: Any, test: Any = None) -> Iterator[Sequence[str]]:
    """Makes Datasets those of what is called in the block, and yields the overrides with one that names them.

    Args:
        overrides: of the call; they are yielded as they are where there is no Dataset.
        train: a map-style Dataset of images, or of pairs (image, label); or None.
        test: likewise, with the same classes; or None.

    Raises:
        UserError: it is none; it is empty; an item is no image; an item differs when it is read again; an override
            names other images.
    """
    if train is None:
        if test is not None:
            raise UserError("test= goes with data=; received test= alone; pass data=dataset as well")
        yield overrides
        return
    listed = override_list(overrides)
    for override in listed:
        key, value = read_override(override)
        if key in ("data", "data.train", "data.test"):
            raise UserError(
                f"images are passed from Python or named by an override; received a {type(train).__name__} and "
                f"{key}={value}; leave one of them out"
            )
    for key, dataset in (("data", train), ("test", test)):
        if dataset is not None:
            _check(key, dataset)
    token = _GIVEN.set(GivenData(train, test))
    try:
        yield [*listed, "data=dataset"]
    finally:
        _GIVEN.reset(token)


def _check(key: str, dataset: Any) -> None:
    """Looks at some images, so that what is none is refused before anything begins."""
    fits = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if not fits or isinstance(dataset, (IterableDataset, str, bytes, dict)):
        raise UserError(
            f"{key}= takes a map-style Dataset, with a length and an item for each position; received "
            f"{type(dataset).__name__}; pass a torch.utils.data.Dataset, or name a folder by data.train=FOLDER"
        )
    if len(dataset) == 0:
        raise UserError(f"{key}= must hold images; received a {type(dataset).__name__} of length 0")
    for position in _spaced(len(dataset)):
        try:
            image, label = split_item(dataset[position])
            header_of_item(image)
            if label is not None:
                label_of(label)
        except ValueError as error:
            raise UserError(
                f"an item of {key}= is an image or a pair of an image and a label; item {position} is not: {error}"
            ) from error
    for position in itertools.islice(_spaced(len(dataset)), _READ_TWICE):
        if content_of(dataset[position]) != content_of(dataset[position]):
            raise UserError(
                f"an item of {key}= must be the same each time, as views are drawn here; item {position} differs when "
                f"it is read again ({shown(type(dataset).__name__)}); leave random transforms out"
            )


def _spaced(count: int) -> range:
    return range(0, count, math.ceil(count / _LOOKED_AT))
