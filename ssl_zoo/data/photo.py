"""8-bit gray and RGB images as tensors: decoded, cut and resized by torchvision's and torch's kernels.

A whole 8-bit JPEG is decoded by torchvision, by the same library as in Pillow and to the same pixels, in three quarters
of the time. All else is Pillow's: other formats, CMYK, a turned image, a damaged file and its message. So it is where
torchvision has no decoder any more, which is deprecated in favour of TorchCodec's.

Resizing is torch's, with weights of 16 bits where Pillow's have 22, in a quarter of the time: of photographs 3 % of the
values differ, by 1, and one in ten million by 2. The evaluation view stays Pillow's, which is what reads images for an
exported backbone.

- [0] torchvision, https://docs.pytorch.org/vision/0.29/generated/torchvision.io.decode_jpeg.html
- [1] torch, https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
"""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ssl_zoo.config.schema import CropConfig
from ssl_zoo.data.bands import Bands
from ssl_zoo.data.crop import crop_and_resize, random_box
from ssl_zoo.data.decode import is_photo, quiet, read_image, to_array
from ssl_zoo.data.raster import Encoded

try:
    from torchvision.io import ImageReadMode, decode_jpeg
except ImportError:  # a later torchvision
    decode_jpeg = None

__all__ = [
    "TYPES",
    "Photo",
    "crop_by_pillow",
    "crop_photo",
    "decode_photo",
    "photo_of",
    "read_photo",
]

Photo: TypeAlias = Tensor | Bands  # uint8 (C, H, W), C = 1 or 3, channels adjacent in memory; or other bands

TYPES = {8: torch.uint8, 16: torch.uint16}  # by bits
ORIENTATION = 0x0112  # of EXIF; 1: upright
JPEG_BEGINS = b"\xff\xd8"


def read_photo(file: str | Encoded, channels: int, bit_depth: int = 8) -> Photo:
    """Returns what `read_image` does, gray and RGB of 8 bits as a tensor.

    Args:
        file: its path, or its bytes.
        channels: as which it is read.
        bit_depth: likewise.

    Raises:
        Unreadable: see `read_image`.
    """
    if is_photo(file, channels, bit_depth):
        try:
            data = _jpeg_of(file)
            pixels = None if data is None else decode_photo(data, channels)
        except Exception:  # Pillow decides whether it is damaged, and says how
            pixels = None
        if pixels is not None:
            return pixels
    return photo_of(read_image(file, channels, bit_depth))


def decode_photo(data: bytes, channels: int) -> Tensor | None:
    """Decodes a JPEG to uint8 (C, H, W) if it is upright, of 8 bits, and gray or, for three channels, in colour.

    Raises:
        Exception: it is damaged, or none.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:  # reads the header
        modes = ("L",) if channels == 1 else ("L", "RGB")  # from colour to gray Pillow has its own weights
        if decode_jpeg is None or image.mode not in modes or image.getexif().get(ORIENTATION, 1) != 1:
            return None
    with quiet():  # it warns that it is deprecated
        mode = ImageReadMode.GRAY if channels == 1 else ImageReadMode.RGB
        pixels: Tensor = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode)
    return pixels


def photo_of(image: Image.Image | Bands) -> Photo:
    """Returns an image in mode L or RGB as a tensor, and bands as they are."""
    if isinstance(image, Bands):
        return image
    return torch.from_numpy(to_array(image).copy(order="K"))


def crop_photo(photo: Photo, size: int, crop: CropConfig, random: np.random.Generator) -> Tensor:
    """Returns a random box of an image, see `random_box`, resized with antialias: (C, size, size)."""
    if isinstance(photo, Bands):
        return torch.from_numpy(to_array(crop_and_resize(photo, size, crop, random)))
    left, top, width, height = random_box(photo.shape[2], photo.shape[1], crop, random)
    box = photo[None, :, top : top + height, left : left + width]
    box = box.contiguous(memory_format=torch.channels_last)  # else it would be copied plane by plane
    return functional.interpolate(box, (size, size), mode=crop.interpolation, antialias=True)[0]


def crop_by_pillow(photo: Photo, size: int, crop: CropConfig, random: np.random.Generator) -> Tensor:
    """Returns the same box resized by Pillow, for runs that were begun so."""
    if isinstance(photo, Tensor):
        planes = photo.numpy()
        image = Image.fromarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))
        return torch.from_numpy(to_array(crop_and_resize(image, size, crop, random)).copy())
    return crop_photo(photo, size, crop, random)


def _jpeg_of(file: str | Encoded) -> bytes | None:
    """Returns the bytes of a file that begins as a JPEG does."""
    if isinstance(file, Encoded):
        return file.data if file.data.startswith(JPEG_BEGINS) else None
    with open(file, "rb") as opened:
        begins = opened.read(len(JPEG_BEGINS))
        return begins + opened.read() if begins == JPEG_BEGINS else None
