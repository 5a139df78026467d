"""Mean and standard deviation of each channel of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.bands import WHITE

__all__ = ["Statistics", "measure_pixels"]

DIGITS = 6  # significant ones, so that they are short in config.yaml and read back as they are


class Statistics(NamedTuple):
    """Mean and standard deviation of each channel, of values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure_pixels(images: Iterable[NDArray[Any]]) -> Statistics | None:
    """Measures images (C, H, W), uint8 or uint16, each of the same weight whatever its size.

    A channel that is one and the same value everywhere has no standard deviation and gets 1: it becomes 0.

    Returns:
        None without images.
    """
    means, squares = [], []
    for image in images:
        values = image.reshape(len(image), -1) / WHITE[8 * image.itemsize]  # (C, HW) float64
        means.append(values.mean(axis=1))
        squares.append(np.square(values).mean(axis=1))
    if not means:
        return None
    mean = np.mean(means, axis=0)  # (C,)
    variance = np.mean(squares, axis=0) - mean**2
    std = [math.sqrt(value) if value > 1e-12 else 1.0 for value in variance.tolist()]
    return Statistics(tuple(map(_rounded, mean.tolist())), tuple(map(_rounded, std)))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
