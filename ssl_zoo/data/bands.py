"""Images that are not 8-bit gray or RGB: any number of channels, 8 or 16 bits per value.

Pillow has no such image, yet its crop and its antialiased resize are what all other files get. So each channel is a
Pillow image of its own, of mode L (8 bits) or F (16 bits, which float32 holds exactly), and is treated as a gray image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = [
    "DTYPES",
    "WHITE",
    "Bands",
    "Pixels",
    "channels_first",
    "depth_of",
    "each_band",
    "image_of",
    "other_channels",
    "planes_of",
]

WHITE = {8: 255, 16: 65535}  # the largest value, by bits
DTYPES = {8: np.uint8, 16: np.uint16}


class Pixels(NamedTuple):
    """What the values of an image are."""

    channels: int
    bit_depth: int  # 8 or 16


@dataclass(frozen=True)
class Bands:
    """Image whose channels are Pillow images of one size, of mode L (8 bits) or F (16 bits, values 0 to 65535)."""

    images: tuple[Image.Image, ...]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.images[0].width

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.images[0].height


def each_band(image: Image.Image | Bands, change: Callable[[Image.Image], Image.Image]) -> Any:
    """Changes an image, or each channel of one in the same way."""
    if isinstance(image, Bands):
        return Bands(tuple(change(band) for band in image.images))
    return change(image)


def planes_of(image: Bands) -> NDArray[Any]:
    """Returns the values (C, H, W), uint8 or uint16; what an interpolation made of 16 bits is rounded."""
    planes = np.stack([np.asarray(band) for band in image.images])
    return planes if planes.dtype == np.uint8 else np.rint(planes).clip(0, WHITE[16]).astype(np.uint16)


def image_of(planes: NDArray[Any], channels: int, bit_depth: int) -> Image.Image | Bands:
    """Makes an image of values (C, H, W): Pillow's of mode L or RGB where it has one, else bands.

    Gray is repeated where three channels are wanted, and colour becomes luma where one is; other numbers must agree.
    Values keep their place in the range of their type: 255 of uint8 is 65535 of uint16 and 1.0.

    Raises:
        ValueError: another number of channels; a type without a range; floats outside [0, 1].
    """
    planes = _in_channels(_at_depth(planes, bit_depth), channels)
    if bit_depth == 8 and channels in (1, 3):
        return Image.fromarray(
            planes[0] if channels == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0))
        )
    kind = np.uint8 if bit_depth == 8 else np.float32
    return Bands(tuple(Image.fromarray(np.ascontiguousarray(plane, kind)) for plane in planes))


def channels_first(array: NDArray[Any], channels: int | None = None) -> NDArray[Any]:
    """Returns an array (H, W), (H, W, C) or (C, H, W) as (C, H, W).

    The channels are the first or the last axis: the one that is `channels` long or, where neither is, the one that is
    shorter than both other axes.

    Raises:
        ValueError: it has other dimensions, or both axes could be the channels.
    """
    if array.ndim == 2:
        return array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"an array must be (H, W), (H, W, C) or (C, H, W); its shape is {array.shape}")
    axes = [axis for axis in (0, 2) if array.shape[axis] == channels]
    if not axes:
        axes = [axis for axis in (0, 2) if sum(array.shape[axis] < side for side in array.shape) == 2]
    if len(axes) != 1:
        both = "both its first and its last axis" if axes else "its first or its last axis"
        fix = "save it with another height or width" if axes else "set data.channels to their number"
        raise ValueError(f"{both} could be the channels, as its shape is {array.shape}; {fix}")
    return array if axes == [0] else array.transpose(2, 0, 1)


def other_channels(channels: int, wanted: int) -> str:
    """Returns the reason for which an image of so many channels is refused."""
    return f"it has {channels} channel{'s' if channels > 1 else ''}, and data.channels={wanted}"


def depth_of(dtype: Any) -> int:
    """Returns the bits that hold values of a type: 8 for uint8, 16 for uint16 and for floats.

    Raises:
        ValueError: the type has no range that black and white could be.
    """
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return 8 * int(dtype.itemsize)
    if dtype.kind == "f":
        return 16
    raise ValueError(
        f"values of type {dtype} have no known black and white; save it as uint8, uint16 or floats in [0, 1]"
    )


def _at_depth(planes: NDArray[Any], bit_depth: int) -> NDArray[Any]:
    """Returns values of any readable type as uint8 or uint16."""
    own, white = depth_of(planes.dtype), WHITE[bit_depth]
    if planes.dtype.kind == "f":
        least, most = float(planes.min()), float(planes.max())
        if not (least >= 0 and most <= 1):  # nan too
            raise ValueError(
                f"floats must be in [0, 1]; it holds {least:g} to {most:g}; divide them, or save uint16"
            )
        return np.rint(planes.astype(np.float64) * white).astype(DTYPES[bit_depth])
    if own == bit_depth:
        return planes.astype(DTYPES[bit_depth], copy=False)  # also from another byte order
    return planes.astype(np.uint16) * 257 if own == 8 else (planes >> 8).astype(np.uint8)


def _in_channels(planes: NDArray[Any], channels: int) -> NDArray[Any]:
    if len(planes) == channels:
        return planes
    if (len(planes), channels) == (1, 3):
        return planes.repeat(3, axis=0)
    if (len(planes), channels) == (3, 1):  # ITU-R 601 in 16-bit fixed point, as Pillow's mode L
        red, green, blue = planes.astype(np.int64)
        luma: NDArray[Any] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        return luma.astype(planes.dtype)[None]
    raise ValueError(other_channels(len(planes), channels))
