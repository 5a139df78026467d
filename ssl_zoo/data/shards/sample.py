"""A look at some images in shards before a run is composed."""

from __future__ import annotations

import functools
import itertools
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import IO, Any

from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.decode import FORMATS, SUFFIXES, Unreadable, quiet, read_image, to_array
from ssl_zoo.data.folder_sample import Sides, pixels_among, sides_among
from ssl_zoo.data.image_sample import ImageSample
from ssl_zoo.data.pixel_statistics import Statistics, measure_pixels
from ssl_zoo.data.raster import Encoded, Header, header_of
from ssl_zoo.data.shards.patterns import NoShards, Shard, list_shards
from ssl_zoo.data.shards.remote import UnreachableShard, opened_shard, unreachable
from ssl_zoo.data.shards.tar import DamagedShard
from ssl_zoo.data.walk import is_visible

__all__ = ["sample_shards"]

_SHARDS = 4  # that are looked into; of those elsewhere the first that holds images
_IMAGES = 32  # the first of each


class ShardSample(ImageSample):
    """The first images of some shards."""

    def __init__(self, images: tuple[Encoded, ...]) -> None:
        self._images = images

    @property
    def sides(self) -> Sides | None:
        return sides_among([(header.width, header.height) for header in self._headers])

    @property
    def pixels(self) -> Pixels | None:
        return pixels_among([header.pixels for header in self._headers])

    def statistics(self, channels: int, bit_depth: int) -> Statistics | None:
        def images() -> Iterator[Any]:
            for image in self._images:
                with suppress(Unreadable):
                    yield to_array(read_image(image, channels, bit_depth))

        with quiet():
            return measure_pixels(images())

    @functools.cached_property
    def _headers(self) -> list[Header]:
        headers = []
        with quiet():
            for image in self._images:
                with suppress(Exception):  # damaged ones are named when they are read
                    headers.append(header_of(image, FORMATS))
        return headers


def sample_shards(data: Mapping[str, Any]) -> ImageSample | None:
    """Returns the first images of some of the shards that `data.train` names; None where there are none to read.

    Raises:
        UserError: a shard cannot be reached: what is trained would depend on whether it can be the next moment.
    """
    pattern = data.get("train")
    if not isinstance(pattern, str) or not pattern:
        return None
    try:
        shards = list_shards("data.train", pattern).found
    except NoShards:  # refused when the images are loaded
        return None
    if all(shard.on_disk for shard in shards):
        chosen = shards[:: -(-len(shards) // _SHARDS)]
        images = tuple(image for shard in chosen for image in _first_images(shard))
    else:
        images = next(filter(None, map(_first_images, shards[:_SHARDS])), ())
    return ShardSample(images) if images else None


@functools.lru_cache(maxsize=16)
def _first_images(shard: Shard) -> tuple[Encoded, ...]:
    images: list[Encoded] = []
    try:
        with suppress(DamagedShard), opened_shard(shard) as stream:
            images += itertools.islice(_images(stream), _IMAGES)
    except UnreachableShard as error:
        raise unreachable(shard, str(error)) from error
    return tuple(images)


def _images(stream: IO[bytes]) -> Iterator[Encoded]:
    """Yields the images in a stream that is read once."""
    with suppress(tarfile.TarError), tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            visible = all(map(is_visible, PurePosixPath(member.name).parts))
            file = tar.extractfile(member) if member.isreg() and visible else None
            if file is not None and member.name.lower().endswith(SUFFIXES):
                yield Encoded(member.name, file.read())
