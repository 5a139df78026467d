"""An item of a Dataset: an image of Pillow, an array or a tensor, alone or with a label."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ssl_zoo.data.bands import Bands, Pixels, channels_first, depth_of, image_of
from ssl_zoo.data.decode import upright
from ssl_zoo.data.raster import GRAY_16, pillow_planes

__all__ = ["content_of", "header_of_item", "image_of_item", "label_of", "split_item"]


def split_item(item: Any) -> tuple[Any, Any]:
    """Returns the image of an item, and what stands beside it: None of an image alone."""
    if isinstance(item, (tuple, list)):
        if len(item) not in (1, 2):
            raise ValueError(f"it has {len(item)} parts; return image or (image, label)")
        return item[0], item[1] if len(item) == 2 else None
    return item, None


def label_of(label: Any) -> int:
    """Returns a label as an integer.

    Raises:
        ValueError: it is none, or below 0.
    """
    try:
        number = operator.index(label)  # also of NumPy and of a tensor ()
    except TypeError as error:
        raise ValueError(f"a label must be a whole number; received {type(label).__name__}") from error
    if number < 0:
        raise ValueError(f"a label must be at least 0; received {number}")
    return number


def header_of_item(image: Any) -> tuple[tuple[int, int], Pixels | None]:
    """Returns width and height of an image, upright, and its pixels; None of Pillow's of 8 bits.

    Raises:
        ValueError: it is no image, or none that can be read.
    """
    if isinstance(image, Image.Image):
        turned = image.getexif().get(0x0112, 1) >= 5
        size = image.size[::-1] if turned else image.size
        return size, Pixels(1, 16) if image.mode in GRAY_16 else None
    planes = channels_first(_array(image))
    return (planes.shape[2], planes.shape[1]), Pixels(len(planes), depth_of(planes.dtype))


def image_of_item(image: Any, channels: int, bit_depth: int) -> Image.Image | Bands:
    """Returns the image as `read_image` returns that of a file.

    Raises:
        ValueError: it is no image, or has other channels.
    """
    if isinstance(image, Image.Image):
        if bit_depth == 8 and channels in (1, 3):
            return upright(image, channels)
        return image_of(pillow_planes(image, channels), channels, bit_depth)
    return image_of(channels_first(_array(image), channels), channels, bit_depth)


def content_of(item: Any) -> bytes:
    """Returns all that an item holds, so that equal bytes are equal items."""
    image, label = split_item(item)
    if isinstance(image, Image.Image):
        head, body = f"{image.mode} {image.size}", image.tobytes()
    else:
        array = _array(image)
        head, body = f"{array.dtype.str} {array.shape}", array.tobytes()
    return f"{head} {None if label is None else label_of(label)}\n".encode() + body


def _array(image: Any) -> NDArray[Any]:
    if isinstance(image, Tensor):
        return image.detach().cpu().numpy()
    if isinstance(image, np.ndarray):
        return image
    raise ValueError(f"an image is one of Pillow, an array or a tensor; received {type(image).__name__}")
