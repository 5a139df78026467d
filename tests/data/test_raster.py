"""Files of any number of channels and of 16 bits: what is read is what was written, to the bit."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.decode import FORMATS, Unreadable, check_image, read_image, to_array
from ssl_zoo.data.raster import Encoded, header_of


def _random(shape: tuple[int, ...], dtype: Any = np.uint16) -> Any:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def _read(path: Path, channels: int, bit_depth: int = 16) -> Any:
    check_image(str(path), channels=channels, bit_depth=bit_depth, whole=True)
    return to_array(read_image(str(path), channels, bit_depth))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("last", [False, True])
def test_an_array_is_read_in_either_layout(tmp_path: Path, dtype: Any, last: bool) -> None:
    planes, depth = _random((5, 9, 7), dtype), 8 * np.dtype(dtype).itemsize
    np.save(tmp_path / "a.npy", planes.transpose(1, 2, 0) if last else planes)
    assert header_of(str(tmp_path / "a.npy"), FORMATS) == (7, 9, Pixels(5, depth))
    assert np.array_equal(_read(tmp_path / "a.npy", 5, depth), planes)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_gray_of_16_bits_is_read_by_pillow(tmp_path: Path, suffix: str) -> None:
    pixels = _random((9, 7))
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    assert header_of(str(tmp_path / f"a{suffix}"), FORMATS) == (7, 9, Pixels(1, 16))
    assert np.array_equal(_read(tmp_path / f"a{suffix}", 1)[0], pixels)
    assert np.array_equal(_read(tmp_path / f"a{suffix}", 1, 8)[0], pixels >> 8)


def test_transparency_is_a_channel_where_four_are_wanted(tmp_path: Path) -> None:
    pixels = _random((9, 7, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert header_of(str(tmp_path / "a.png"), FORMATS).pixels is None
    assert np.array_equal(_read(tmp_path / "a.png", 4, 8), pixels.transpose(2, 0, 1))
    assert np.array_equal(_read(tmp_path / "a.png", 3, 8), pixels.transpose(2, 0, 1)[:3])


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "channels"),
    [
        ((9, 7, 5), np.uint16, {"photometric": "minisblack", "planarconfig": "contig"}, 5),
        ((5, 9, 7), np.uint16, {"photometric": "minisblack", "planarconfig": "separate"}, 5),
        ((5, 9, 7), np.uint16, {"photometric": "minisblack"}, 5),  # as pages
        ((9, 7, 3), np.uint16, {"photometric": "rgb"}, 3),
        ((9, 7, 4), np.uint8, {"photometric": "rgb", "extrasamples": [0]}, 4),
        ((12, 13, 14), np.uint8, {"photometric": "minisblack", "compression": "zlib"}, 12),
    ],
)
def test_a_tiff_of_many_channels_is_read_by_tifffile(
    tmp_path: Path, shape: tuple[int, ...], dtype: Any, options: dict[str, Any], channels: int
) -> None:
    tifffile = pytest.importorskip("tifffile")
    values, depth = _random(shape, dtype), 8 * np.dtype(dtype).itemsize
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    planes = values if shape[0] == channels else values.transpose(2, 0, 1)
    if (
        dtype == np.uint16
    ):  # of 8 bits Pillow takes the first page, or RGB, unless another number is asked for
        pixels = header_of(str(tmp_path / "a.tif"), FORMATS).pixels
        assert pixels == Pixels(channels, depth)
    assert np.array_equal(_read(tmp_path / "a.tif", channels, depth), planes)


def _colour_tiff(path: Path) -> None:
    """A TIFF of 2 x 1 pixels of three 16-bit values, written by hand."""
    entries = {
        256: (4, 1, 2),
        257: (4, 1, 1),
        258: (3, 3, 8),
        259: (3, 1, 1),
        262: (3, 1, 2),
        273: (4, 1, 14),
        277: (3, 1, 3),
        278: (4, 1, 1),
        279: (4, 1, 12),
    }
    directory = struct.pack("<H", len(entries))
    for tag, (kind, count, value) in entries.items():
        directory += struct.pack("<HHII", tag, kind, count, value)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 26) + struct.pack("<3H", 16, 16, 16) + struct.pack("<6H", *range(6)) + directory
        + struct.pack("<I", 0)
    )  # fmt: skip


def test_without_tifffile_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _colour_tiff(tmp_path / "a.tif")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for act in (read_image, lambda *_: check_image(str(tmp_path / "a.tif"), bit_depth=16)):
        with pytest.raises(
            Unreadable, match=r"tifffile, which is not installed; pip install 'ssl-zoo\[tiff\]', or"
        ):
            act(str(tmp_path / "a.tif"), 3, 16)  # type: ignore[operator]
    assert _read(tmp_path / "a.tif", 3, 8).shape == (3, 1, 2)  # the way out that it names


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: np.save(path, np.zeros((4, 4, 3), object), allow_pickle=True),
            "Object arrays cannot be|Python objects in dtype",
        ),
        (lambda path: path.write_bytes(b"\x93NUMPY"), "a.npy"),
        (
            lambda path: np.save(path, np.zeros((5, 9, 9), np.uint16)),
            "it has 5 channels, and data.channels=4",
        ),
        (lambda path: np.save(path, np.zeros((4, 9, 9), np.int32)), "values of type int32"),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_wrong_with_an_array_shows_in_its_header(
    tmp_path: Path, write: Any, message: str, whole: bool
) -> None:
    write(tmp_path / "a.npy")
    with pytest.raises(Unreadable, match=message):
        check_image(str(tmp_path / "a.npy"), channels=4, bit_depth=16, whole=whole)
    with pytest.raises(Unreadable, match=message):
        read_image(str(tmp_path / "a.npy"), 4, 16)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.jpg", "a.tif", "colours.tif"])
def test_the_bytes_of_a_file_are_read_as_the_file_is(tmp_path: Path, name: str) -> None:
    rng, path = np.random.default_rng(0), tmp_path / name
    channels, bit_depth = (5, 16) if name == "a.npy" else (3, 8)
    if name == "a.npy":
        np.save(path, rng.integers(0, 65536, (5, 9, 7), np.uint16))
    elif name == "colours.tif":
        bit_depth = 16
        pytest.importorskip("tifffile").imwrite(path, rng.integers(0, 65536, (9, 7, 3), np.uint16))
    else:
        Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8)).save(path)
    encoded = Encoded("row 3", path.read_bytes())
    assert header_of(encoded, FORMATS) == header_of(str(path), FORMATS)
    check_image(encoded, channels=channels, bit_depth=bit_depth, whole=True)
    of_file, of_bytes = (to_array(read_image(file, channels, bit_depth)) for file in (str(path), encoded))
    assert of_bytes.dtype == of_file.dtype
    assert np.array_equal(of_bytes, of_file)
    for broken in (encoded.data[: len(encoded.data) // 2], b""):
        with pytest.raises(Unreadable, match=r"^'row 3': "):
            read_image(Encoded("row 3", broken), channels, bit_depth)
