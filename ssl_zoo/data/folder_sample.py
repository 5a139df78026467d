"""Sides, channels and brightness of a folder's images, by a sample of them."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.decode import FORMATS, SUFFIXES, Unreadable, quiet, read_image, to_array, upright
from ssl_zoo.data.pixel_statistics import Statistics, measure_pixels
from ssl_zoo.data.raster import ARRAY, Header, header_of
from ssl_zoo.data.walk import is_visible

__all__ = [
    "Gray",
    "Sides",
    "gray_of",
    "pixels_among",
    "pixels_of",
    "sides_among",
    "sides_of",
    "statistics_of",
]

T = TypeVar("T")

_LOOKED_AT = 256  # headers
_DECODED = 64  # images whose pixels are averaged
_FOLDERS = 16  # sub-folders that are looked into
_DEPTH = 4  # folders below one another


class Sides(NamedTuple):
    """The shorter sides of images, in pixels."""

    least: int
    median: int
    most: int
    shape: tuple[int, int] | None  # (width, height) where all are alike

    def __str__(self) -> str:
        if self.shape is not None:
            return f"{self.shape[0]} x {self.shape[1]}"
        return f"{self.least} to {self.most} pixels on their shorter side, {self.median} in the median"


class Gray(NamedTuple):
    """Mean and standard deviation of gray pixels in [0, 1]."""

    mean: float
    std: float


def sides_of(folder: str) -> Sides | None:
    """Looks at the headers of up to 256 images, evenly spaced in the order of their names.

    They are the same ones whenever the folder holds the same names. Within a process a folder is looked at once.

    Returns:
        None if the folder is not there, cannot be read or holds no image that can be.
    """
    root = os.path.expanduser(folder)
    return _sides(root, _stamp(root))


def pixels_of(folder: str) -> Pixels | None:
    """Returns channels and bits of the images whose headers `sides_of` looks at; None where one is an 8-bit photo.

    The channels are those of the first; files that cannot be read as such are refused later. The bits are the most of
    any.
    """
    root = os.path.expanduser(folder)
    return pixels_among([header.pixels for header in _headers(root, _stamp(root))])


def pixels_among(pixels: Sequence[Pixels | None]) -> Pixels | None:
    """Returns channels and bits of images; None where there is none, or one is an 8-bit photo, itself None."""
    known = [each for each in pixels if each is not None]
    if not known or len(known) < len(pixels):
        return None
    return Pixels(known[0].channels, max(each.bit_depth for each in known))


def statistics_of(folder: str, channels: int, bit_depth: int) -> Statistics | None:
    """Measures mean and std of each channel on up to 64 images, chosen as `sides_of` does; see `measure_pixels`.

    Returns:
        None where none can be read.
    """
    root = os.path.expanduser(folder)
    return _statistics(root, channels, bit_depth, _stamp(root))


def gray_of(folder: str) -> Gray | None:
    """Mean and std of the gray pixels of up to 64 images, chosen as `sides_of` does, each of the same weight.

    Rounded to four digits, so that they are read back as they are.
    """
    root = os.path.expanduser(folder)
    return _gray(root, _stamp(root))


def _stamp(root: str) -> tuple[int, ...]:
    """Changes when a file of the folder or of one directly below it is added or removed."""
    try:
        changed = os.stat(root).st_mtime_ns
        return changed, *(os.stat(path).st_mtime_ns for path in _folders(root, changed))
    except (OSError, ValueError):  # no name of a file has a zero byte
        return ()


@lru_cache(maxsize=64)
def _folders(root: str, changed: int) -> tuple[str, ...]:
    """The folders directly below one, listed anew when its time of change is another."""
    return tuple(sorted(entry.path for entry in os.scandir(root) if entry.is_dir()))


@lru_cache(maxsize=64)
def _headers(root: str, stamp: tuple[int, ...]) -> tuple[Header, ...]:
    headers = []
    with quiet():
        for path in _images(root, _LOOKED_AT):
            try:
                headers.append(header_of(path, FORMATS))
            except Exception:  # Pillow raises nearly anything on damaged files, which the scan will name
                continue
    return tuple(headers)


@lru_cache(maxsize=64)
def _sides(root: str, stamp: tuple[int, ...]) -> Sides | None:
    return sides_among([(header.width, header.height) for header in _headers(root, stamp)])


def sides_among(shapes: Sequence[tuple[int, int]]) -> Sides | None:
    """Returns the shorter sides of images (width, height); None without any."""
    if not shapes:
        return None
    short = [min(shape) for shape in shapes]
    alike = shapes[0] if len(set(shapes)) == 1 else None
    return Sides(min(short), statistics.median_low(short), max(short), alike)


@lru_cache(maxsize=64)
def _statistics(root: str, channels: int, bit_depth: int, stamp: tuple[int, ...]) -> Statistics | None:
    def images() -> Iterator[NDArray[Any]]:
        for path in _images(root, _DECODED):
            with suppress(Unreadable):
                yield to_array(read_image(path, channels, bit_depth))

    with quiet():
        return measure_pixels(images())


@lru_cache(maxsize=64)
def _gray(root: str, stamp: tuple[int, ...]) -> Gray | None:
    means, squares = [], []
    with quiet():
        for path in _images(root, _DECODED):
            try:
                with Image.open(path, formats=FORMATS) as image:
                    image.draft("L", (224, 224))  # a smaller version of a large JPEG is quicker to decode
                    pixels = np.asarray(upright(image, 1), np.float64) / 255  # (H, W)
            except Exception:
                continue
            means.append(pixels.mean())
            squares.append(np.square(pixels).mean())
    if not means:
        return None
    mean = float(np.mean(means))
    std = math.sqrt(max(float(np.mean(squares)) - mean**2, 0.0))
    return Gray(round(mean, 4), max(round(std, 4), 0.01))  # images of one and the same gray have no std


def _images(root: str, most: int) -> list[str]:
    """Up to `most` images below a folder: arrays (.npy) where no others are seen, as in `scan_folder`."""
    return _sample(root, most, SUFFIXES) or _sample(root, most, (ARRAY,))


def _sample(root: str, most: int, suffixes: tuple[str, ...], depth: int = 0) -> list[str]:
    """Up to `most` files of these suffixes, and no other kind of file, which could not be opened without waiting."""
    named, below = [], []  # names, as a million entries take ten times the memory
    try:
        with os.scandir(root) as listing:
            for entry in listing:
                if not is_visible(entry.name):
                    continue
                if entry.name.lower().endswith(suffixes):
                    named.append(entry.name)
                if depth < _DEPTH and entry.is_dir():
                    below.append(entry.name)
    except (OSError, ValueError):
        return []
    paths = (os.path.join(root, name) for name in _spaced(sorted(named), most))
    files = [path for path in paths if os.path.isfile(path)]
    folders = [os.path.join(root, name) for name in _spaced(sorted(below), min(_FOLDERS, most))]
    each = math.ceil(most / max(1, len(folders)))
    return (files + [path for folder in folders for path in _sample(folder, each, suffixes, depth + 1)])[
        :most
    ]


def _spaced(items: Sequence[T], most: int) -> list[T]:
    return list(items[:: math.ceil(len(items) / most)]) if items else []
