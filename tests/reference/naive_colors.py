"""The colour operations and the blur of SimCLR's and BYOL's code: one pixel at a time, nothing of ssl_zoo.

Images are (C, H, W) lists of lists of lists of numbers in [0, 1]; what is returned is clamped to it, as both codes do
after each operation. HSV is Python's `colorsys`.

- [0] SimCLR, data_util.py, https://github.com/google-research/simclr. TensorFlow defines what it calls:
  adjust_contrast is (x - mean) * factor + mean with the mean of each channel, adjust_saturation multiplies S of HSV
  and clips it to [0, 1], a "SAME" convolution pads with zeros.
- [1] BYOL, utils/augmentations.py, https://github.com/google-deepmind/deepmind-research/tree/master/byol
"""

from __future__ import annotations

import colorsys
import math
from typing import Any

Image = list[list[list[float]]]


def simclr_brightness(image: Image, factor: float) -> Image:
    """[0], random_brightness: image * factor."""
    return [[[_clip(x * factor) for x in row] for row in channel] for channel in image]


def byol_brightness(image: Image, delta: float) -> Image:
    """[1], adjust_brightness: x + delta."""
    return [[[_clip(x + delta) for x in row] for row in channel] for channel in image]


def contrast(image: Image, factor: float) -> Image:
    """[0] tf.image.random_contrast and [1] adjust_contrast: factor * (channel - mean) + mean."""
    changed = []
    for channel in image:
        values = [x for row in channel for x in row]
        mean = sum(values) / len(values)
        changed.append([[_clip(factor * (x - mean) + mean) for x in row] for row in channel])
    return changed


def saturation(image: Image, factor: float) -> Image:
    """[0] tf.image.random_saturation and [1] adjust_saturation: S of HSV times the factor, clipped to [0, 1]."""
    return _in_hsv(image, lambda h, s, v: (h, min(1.0, s * factor), v))


def hue(image: Image, delta: float) -> Image:
    """[0] tf.image.random_hue and [1] adjust_hue: H of HSV plus delta, modulo 1."""
    return _in_hsv(image, lambda h, s, v: ((h + delta) % 1.0, s, v))


def blur(image: Image, sigma: float, kernel_size: float) -> Image:
    """[0] gaussian_blur and [1] _gaussian_blur_single_image: two convolutions, zeros beyond the borders.

    The radius is int(kernel_size / 2), where the kernel size is a tenth of the height.
    """
    radius = int(kernel_size / 2)
    kernel = [math.exp(-(x**2) / (2 * sigma**2)) for x in range(-radius, radius + 1)]
    kernel = [weight / sum(kernel) for weight in kernel]

    def along_rows(channel: list[list[float]]) -> list[list[float]]:
        padded = [[0.0] * radius + row + [0.0] * radius for row in channel]
        width = len(channel[0])
        return [[sum(w * row[x + k] for k, w in enumerate(kernel)) for x in range(width)] for row in padded]

    def turned(channel: list[list[float]]) -> list[list[float]]:
        return [list(column) for column in zip(*channel, strict=True)]

    return [turned(along_rows(turned(along_rows(channel)))) for channel in image]


def _in_hsv(image: Image, change: Any) -> Image:
    height, width = len(image[0]), len(image[0][0])
    changed = [[[0.0] * width for _ in range(height)] for _ in range(3)]
    for y in range(height):
        for x in range(width):
            rgb = [channel[y][x] for channel in image]
            for c, value in enumerate(colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*rgb)))):
                changed[c][y][x] = _clip(value)
    return changed


def _clip(x: float) -> float:
    return min(1.0, max(0.0, x))
