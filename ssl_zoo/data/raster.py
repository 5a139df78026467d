"""Reading the values of a file as they are: .npy, TIFF of any number of channels, 16 bits.

What Pillow holds without loss it reads. Of a TIFF it cuts 16-bit colours to 8 bits and knows few numbers of channels:
tifffile reads those. 16-bit colours of a PNG stay cut to 8 bits, as no library that is installed anyway reads them in
full for long: torchvision's decoder is deprecated.

- [0] NPY format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
- [1] tifffile, https://github.com/cgohlke/tifffile
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ssl_zoo.data.bands import Pixels, channels_first, depth_of

__all__ = [
    "ARRAY",
    "GRAY_16",
    "Encoded",
    "Header",
    "header_of",
    "is_array",
    "name_of",
    "opened",
    "pillow_planes",
    "read_planes",
]

ARRAY = ".npy"
TIFF = (".tif", ".tiff")
ARRAY_BEGINS, TIFF_BEGINS = b"\x93NUMPY", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GRAY_16 = ("I;16", "I;16B", "I;16L")  # Pillow's modes
# Of a TIFF's axes by tifffile: samples and channels are said to be channels; pages and unknown axes may be.
CHANNELS, PAGES = "SC", "IQ"


class Encoded(NamedTuple):
    """A file that is not on disk alone: a row of a table, a member of an archive."""

    name: str  # for messages
    data: bytes  # of the whole file


def name_of(file: str | Encoded) -> str:
    """Returns the path of a file, or the name of an encoded one."""
    return file if isinstance(file, str) else file.name


def opened(file: str | Encoded) -> Any:
    """Returns what libraries open: the path, or a stream of the bytes."""
    return file if isinstance(file, str) else io.BytesIO(file.data)


def is_array(file: str | Encoded) -> bool:
    """Whether a file is of NumPy: by its suffix on disk, by its first bytes elsewhere."""
    return file.lower().endswith(ARRAY) if isinstance(file, str) else file.data.startswith(ARRAY_BEGINS)


class Header(NamedTuple):
    """What a file says about its image without being decoded."""

    width: int
    height: int
    pixels: Pixels | None  # None: an 8-bit image that Pillow makes gray or RGB


def header_of(file: str | Encoded, formats: tuple[str, ...], channels: int | None = None) -> Header:
    """Reads a file's header, the size being that of the upright image.

    Args:
        file: its path, or its bytes.
        formats: Pillow's names of those that may be read.
        channels: how many are expected; see `bands.channels_first`.

    Raises:
        Exception: it cannot be read.
    """
    if is_array(file):
        array = (
            np.lib.format.open_memmap(file, mode="r")
            if isinstance(file, str)
            else np.lib.format.read_array(opened(file), allow_pickle=False)
        )
        return _header(channels_first(array, channels))
    try:
        with Image.open(opened(file), formats=formats) as image:
            if not _needs_tifffile(image, channels):
                turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientation: lies on its side
                width, height = image.size[::-1] if turned else image.size
                return Header(width, height, Pixels(1, 16) if image.mode in GRAY_16 else None)
    except UnidentifiedImageError:
        if not _is_tiff(file):
            raise
    return _header(_tiff_planes(file, channels, header=True))


def read_planes(file: str | Encoded, formats: tuple[str, ...], channels: int) -> NDArray[Any]:
    """Returns the values of a file, (C, H, W) of the type that they are saved in.

    Transparency is dropped where 1 or 3 channels are wanted, and else is a channel.

    Raises:
        Exception: it cannot be read.
    """
    if is_array(file):
        with open(file, "rb") if isinstance(file, str) else opened(file) as stream:
            return channels_first(np.lib.format.read_array(stream, allow_pickle=False), channels)
    try:
        with Image.open(opened(file), formats=formats) as image:
            if not _needs_tifffile(image, channels):
                return pillow_planes(image, channels)
    except UnidentifiedImageError:
        if not _is_tiff(file):
            raise
    return _tiff_planes(file, channels)


def pillow_planes(image: Image.Image, channels: int) -> NDArray[Any]:
    """Returns the values of an open image, upright: (C, H, W), as `read_planes` does."""
    turned = ImageOps.exif_transpose(image)
    if turned.mode in ("I", "F"):
        raise ValueError("32 bits per channel have no fixed range; save it with 8 or 16")
    if turned.mode not in GRAY_16:
        kept = ("L", "RGB") if channels in (1, 3) else ("L", "LA", "RGB", "RGBA", "CMYK")
        if turned.mode not in kept:
            turned = turned.convert("L" if channels == 1 or turned.mode in ("1", "LA") else "RGB")
    values = np.asarray(turned)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _is_tiff(file: str | Encoded) -> bool:
    return file.lower().endswith(TIFF) if isinstance(file, str) else file.data.startswith(TIFF_BEGINS)


def _header(planes: NDArray[Any]) -> Header:
    channels, height, width = planes.shape
    return Header(width, height, Pixels(channels, depth_of(planes.dtype)))


def _needs_tifffile(image: Image.Image, channels: int | None) -> bool:
    """Whether Pillow would cut values of a TIFF to 8 bits, or read fewer channels than are wanted or than it has."""
    if image.format != "TIFF":
        return False
    if image.mode in GRAY_16:
        return getattr(image, "n_frames", 1) > 1
    if any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    ):  # colours; the mode is that of 8 bits
        return True
    return channels not in (None, 1, 3, len(image.getbands()))


def _tiff_planes(file: str | Encoded, channels: int | None, *, header: bool = False) -> NDArray[Any]:
    """Returns the values of a TIFF's first image, (C, H, W); for its header an array of that shape without values."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError(
            "a TIFF of these channels and bits is read by tifffile, which is not installed; pip install "
            "'ssl-zoo[tiff]', or set data.channels=3 data.bit_depth=8 for what Pillow reads of it"
        ) from error
    with tifffile.TiffFile(opened(file)) as tiff:
        series = tiff.series[0]
        axes, shape = series.axes, series.shape
        values = np.broadcast_to(np.zeros((), series.dtype), shape) if header else series.asarray()
    single = [
        axis
        for axis, (name, side) in enumerate(zip(axes, shape, strict=True))
        if name not in "YX" and side == 1
    ]
    values = values.squeeze(tuple(single))
    left = "".join(name for axis, name in enumerate(axes) if axis not in single)
    further = left.replace("Y", "").replace("X", "")
    if len(further) > 1 or any(name not in CHANNELS + PAGES for name in further):
        raise ValueError(f"its axes are {axes} {shape}, which are more than height, width and channels")
    if further and further in CHANNELS:
        return np.moveaxis(values, left.index(further), 0)
    return channels_first(values, channels)
