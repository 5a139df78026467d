"""The random resized crop of one image, as torchvision's RandomResizedCrop draws it.

It is written anew because torchvision draws from torch's global generator, which would make a crop depend
on which process made it and on what that had done before.

- [0] Going Deeper with Convolutions, 2014, https://arxiv.org/abs/1409.4842
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from ssl_zoo.config.schema import CropConfig
from ssl_zoo.data.bands import Bands, each_band

__all__ = ["crop_and_resize", "random_box"]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def crop_and_resize(
    image: Image.Image | Bands, size: int, crop: CropConfig, random: np.random.Generator
) -> Any:
    """Returns a random box of the image, of the same kind, resized with antialias to size x size pixels."""
    left, top, width, height = random_box(image.width, image.height, crop, random)

    def view(band: Image.Image) -> Image.Image:
        box = band.crop((left, top, left + width, top + height))
        return box.resize((size, size), _FILTERS[crop.interpolation])

    return each_band(image, view)


def random_box(
    width: int, height: int, crop: CropConfig, random: np.random.Generator
) -> tuple[int, int, int, int]:
    """Returns left, top, width and height of a box in pixels.

    Area ~ U(scale) of the image's, log(width / height) ~ U(log ratio), position uniform. A box that doesn't
    fit is drawn again, 10 times at most; then it is the largest central one whose ratio is within the range.
    """
    low, high = math.log(crop.ratio[0]), math.log(crop.ratio[1])
    for _ in range(10):
        area = width * height * random.uniform(*crop.scale)
        ratio = math.exp(random.uniform(low, high))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(random.integers(width - w + 1)), int(random.integers(height - h + 1)), w, h
    w, h = width, height
    if width / height < crop.ratio[0]:
        h = round(width / crop.ratio[0])
    elif width / height > crop.ratio[1]:
        w = round(height * crop.ratio[1])
    return (width - w) // 2, (height - h) // 2, w, h
