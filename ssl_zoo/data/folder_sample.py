"""Sides and brightness of a folder's images, by a sample of them."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from ssl_zoo.data.decode import FORMATS, SUFFIXES, quiet, upright
from ssl_zoo.data.scan import is_visible

__all__ = ["Gray", "Sides", "gray_of", "sides_of"]

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
def _sides(root: str, stamp: tuple[int, ...]) -> Sides | None:
    shapes = []
    with quiet():
        for path in _sample(root, _LOOKED_AT):
            try:
                with Image.open(path, formats=FORMATS) as image:
                    turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: lies on its side
                    shapes.append(image.size[::-1] if turned else image.size)
            except Exception:  # Pillow raises nearly anything on damaged files, which the scan will name
                continue
    if not shapes:
        return None
    short = [min(shape) for shape in shapes]
    alike = shapes[0] if len(set(shapes)) == 1 else None
    return Sides(min(short), statistics.median_low(short), max(short), alike)


@lru_cache(maxsize=64)
def _gray(root: str, stamp: tuple[int, ...]) -> Gray | None:
    means, squares = [], []
    with quiet():
        for path in _sample(root, _DECODED):
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


def _sample(root: str, most: int, depth: int = 0) -> list[str]:
    """Up to `most` image files below a folder, and no other kind of file, which could not be opened without waiting."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
        visible = [entry for entry in entries if is_visible(entry.name)]
        named = [entry for entry in visible if entry.name.lower().endswith(SUFFIXES)]
        files = [entry.path for entry in _spaced(named, most) if entry.is_file()]
        folders = [] if depth == _DEPTH else [entry.path for entry in visible if entry.is_dir()]
    except (OSError, ValueError):
        return []
    folders = _spaced(folders, min(_FOLDERS, most))
    each = math.ceil(most / max(1, len(folders)))
    return (files + [path for folder in folders for path in _sample(folder, each, depth + 1)])[:most]


def _spaced(items: Sequence[T], most: int) -> list[T]:
    return list(items[:: math.ceil(len(items) / most)]) if items else []
