"""Reading one image file, or the bytes of one, with Pillow where it holds the image without loss."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ssl_zoo.data.bands import Bands, image_of, other_channels, planes_of
from ssl_zoo.data.raster import Encoded, header_of, is_array, name_of, opened, read_planes

__all__ = [
    "FORMATS",
    "READS_AVIF",
    "SUFFIXES",
    "Unreadable",
    "check_image",
    "quiet",
    "read_image",
    "to_array",
    "upright",
]

try:
    from PIL import AvifImagePlugin

    READS_AVIF = bool(AvifImagePlugin.SUPPORTED)
except ImportError:  # before Pillow 11.3
    READS_AVIF = False

_AVIF = (".avif",) if READS_AVIF else ()
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", *_AVIF)

# Whatever its suffix says, a file is taken for one of these only: Pillow hands EPS to an external program.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", *(("AVIF",) if READS_AVIF else ()))


FIX = "replace or remove the file, or set data.on_error=skip to leave unreadable images out"


class Unreadable(Exception):
    """A file cannot be read as an image.

    Attributes:
        path: of the file.
        reason: a short phrase.
        fix: likewise.
    """

    def __init__(self, path: str, error: Exception, fix: str = FIX) -> None:
        self.path, self.fix = path, fix
        if isinstance(error, UnidentifiedImageError):
            self.reason = "cannot be identified as an image"
        elif isinstance(error, OSError) and error.strerror:  # without its number and the path once more
            self.reason = error.strerror.lower()
        else:
            self.reason = str(error).rstrip(".") or repr(error)
        super().__init__(f"'{path}': {self.reason}")


def check_image(file: str | Encoded, *, whole: bool = False, channels: int = 3, bit_depth: int = 8) -> None:
    """Checks a file by its header, and the checksums where the format has some (PNG).

    Args:
        file: its path, or its bytes.
        whole: decode it as well, a JPEG at an eighth of its size: what is cut off shows.
        channels: as which it will be read.
        bit_depth: likewise.

    Raises:
        Unreadable: the check failed.
    """
    try:
        if not is_photo(file, channels, bit_depth):
            pixels = header_of(file, FORMATS, channels).pixels
            if pixels is not None and {pixels.channels, channels} not in ({channels}, {1, 3}):
                raise ValueError(other_channels(pixels.channels, channels))
            if whole:
                read_image(file, channels, bit_depth)
            return
        with Image.open(opened(file), formats=FORMATS) as image:
            _check_mode(image)
            if whole:
                image.draft(None, (1, 1))
                image.load()
            else:
                image.verify()
    except UnidentifiedImageError as error:
        raise Unreadable(name_of(file), _explained(file, channels, error)) from error
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise Unreadable(name_of(file), error) from error


def read_image(file: str | Encoded, channels: int, bit_depth: int = 8) -> Image.Image | Bands:
    """Returns the image upright (EXIF orientation applied), in mode L for 1 channel and RGB for 3, each of 8 bits.

    16-bit gray becomes 8-bit by its upper byte, transparency is dropped, of an animation the first frame is
    taken. Other numbers of channels, and 16 bits, are `Bands`; see `image_of`.

    Raises:
        Unreadable: the file is damaged, cut off, of another format, of 32 bits per channel, or has other channels.
    """
    try:
        if is_photo(file, channels, bit_depth):
            with Image.open(opened(file), formats=FORMATS) as image:
                return upright(image, channels)
        return image_of(read_planes(file, FORMATS, channels), channels, bit_depth)
    except UnidentifiedImageError as error:
        raise Unreadable(name_of(file), _explained(file, channels, error)) from error
    except Exception as error:
        raise Unreadable(name_of(file), error) from error


def upright(image: Image.Image, channels: int) -> Image.Image:
    """Returns an open image as `read_image` does; it is left as it is.

    Raises:
        ValueError: it has 32 bits per channel.
    """
    _check_mode(image)
    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        turned = Image.fromarray((np.asarray(turned) >> 8).astype(np.uint8))
    return turned.convert("L" if channels == 1 else "RGB")


def to_array(image: Image.Image | Bands) -> NDArray[Any]:
    """Returns the pixels of an image in mode L or RGB, uint8 (C, H, W), or of bands, uint8 or uint16."""
    if isinstance(image, Bands):
        return planes_of(image)
    pixels: NDArray[np.uint8] = np.asarray(image)  # (H, W) or (H, W, 3)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Pillow's warnings of a broken EXIF entry, a large image or a transparent palette: none matters here.

    For many files at a time; it takes as long as reading the header of one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_photo(file: str | Encoded, channels: int, bit_depth: int) -> bool:
    """Whether Pillow makes what is wanted of a file: gray or RGB of 8 bits."""
    return bit_depth == 8 and channels in (1, 3) and not is_array(file)


def _explained(file: str | Encoded, channels: int, error: Exception) -> Exception:
    """Returns why Pillow does not know a TIFF, where it is one of other channels; else its own error."""
    try:
        pixels = header_of(file, FORMATS).pixels
    except ValueError as reason:
        return reason
    except Exception:
        return error
    return error if pixels is None else ValueError(other_channels(pixels.channels, channels))


def _check_mode(image: Image.Image) -> None:
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per channel have no fixed range; save it with 8 or 16")
