"""Images as tensors: decoded and cropped against Pillow, in the oddest files too."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_zoo.config.schema import CropConfig
from ssl_zoo.data import photo
from ssl_zoo.data.bands import Bands, image_of
from ssl_zoo.data.crop import crop_and_resize, random_box
from ssl_zoo.data.decode import Unreadable, read_image, to_array
from ssl_zoo.data.photo import crop_by_pillow, crop_photo, decode_photo, photo_of, read_photo
from ssl_zoo.data.raster import Encoded
from ssl_zoo.data.rng import stream


def _scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Returns a smooth colour image with some noise, as photographs are."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + random.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def _same(data: bytes, channels: int = 3) -> None:
    """Asserts that a file has Pillow's pixels."""
    encoded = Encoded("a.jpg", data)
    ours = read_photo(encoded, channels)
    assert isinstance(ours, torch.Tensor)
    assert np.array_equal(ours.numpy(), to_array(read_image(encoded, channels)))


# Decoding ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (17, 33), (250, 3), (100, 75)])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 10},
        {"quality": 95, "subsampling": "4:4:4"},
        {"subsampling": "4:2:2", "optimize": True},
        {"progressive": True},
        {"keep_rgb": True},
    ],
)
def test_a_jpeg_is_decoded_to_pillows_pixels(size: tuple[int, int], options: dict[str, Any]) -> None:
    data = _jpeg(_scene(*size), **options)
    assert decode_photo(data, 3) is not None
    _same(data)
    _same(data, 1)


def test_a_gray_jpeg_too() -> None:
    data = _jpeg(_scene(31, 18).convert("L"))
    for channels in (1, 3):
        assert decode_photo(data, channels) is not None
        _same(data, channels)


def test_colour_becomes_gray_by_pillows_weights() -> None:
    data = _jpeg(_scene(31, 18))
    assert decode_photo(data, 1) is None
    _same(data, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_an_image(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = _jpeg(_scene(20, 10), exif=exif)
    assert (decode_photo(data, 3) is None) == (orientation != 1)
    _same(data)


def test_cmyk_and_other_formats_are_left_to_pillow(tmp_path: Path) -> None:
    data = _jpeg(_scene(20, 10).convert("CMYK"))
    assert decode_photo(data, 3) is None
    _same(data)
    deep = Image.fromarray(np.arange(200, dtype=np.uint16).reshape(10, 20) * 300)
    images = {"a.png": _scene(20, 10), "b.png": _scene(9, 9).convert("P"), "c.png": deep}
    for name, image in {**images, "d.jpg": _scene(8, 8)}.items():
        image.save(tmp_path / name, "PNG")  # whatever the suffix says
        path = str(tmp_path / name)
        ours = read_photo(path, 3)
        assert isinstance(ours, torch.Tensor)
        assert np.array_equal(ours.numpy(), to_array(read_image(path, 3)))


def test_many_channels_stay_bands(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5 * 8 * 9, dtype=np.uint16).reshape(5, 8, 9))
    ours = read_photo(str(tmp_path / "a.npy"), 5, 16)
    assert isinstance(ours, Bands)
    assert to_array(ours).shape == (5, 8, 9)


def test_damage_is_pillows_to_judge() -> None:
    """A file that is cut off or overwritten is refused with Pillow's reason, or has Pillow's pixels."""
    random, refused, reasons = np.random.default_rng(0), 0, list[tuple[str, str]]()
    whole = _jpeg(_scene(90, 60), quality=90)
    for number in range(120):
        data = bytearray(whole)
        if number % 3 == 0:
            data = data[: random.integers(1, len(data))]
        else:
            start = 0 if number % 3 == 1 else 600  # also the header; else what is decoded alone
            for place in random.integers(start, len(data), 1 + number % 5):
                data[place] = random.integers(256)
        encoded = Encoded("a.jpg", bytes(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = to_array(read_image(encoded, 3))
            except Unreadable as error:
                reason, refused = error.reason, refused + 1
                with pytest.raises(Unreadable) as ours:
                    read_photo(encoded, 3)
                reasons.append((ours.value.reason, reason))
            else:
                pixels = read_photo(encoded, 3)
                assert isinstance(pixels, torch.Tensor)
                assert np.array_equal(pixels.numpy(), theirs)
    assert 20 < refused < 120
    assert all(ours == theirs for ours, theirs in reasons)


def test_without_torchvisions_decoder_the_pixels_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _jpeg(_scene(40, 30))
    with_it = read_photo(Encoded("a.jpg", data), 3)
    monkeypatch.setattr(photo, "decode_jpeg", None)
    assert decode_photo(data, 3) is None
    without = read_photo(Encoded("a.jpg", data), 3)
    assert isinstance(with_it, torch.Tensor)
    assert isinstance(without, torch.Tensor)
    assert torch.equal(with_it, without)
    assert with_it.stride() == without.stride()


# Views -------------------------------------------------------------------------------------------------
def _close(ours: torch.Tensor, theirs: Any) -> bool:
    """Whether images are equal but for rounding: the weights' in each of two passes and, seldom, of both in a row."""
    gap = (ours.int() - torch.from_numpy(to_array(theirs).astype(np.int32))).abs()
    return int(gap.max()) <= 2 and float(gap.float().mean()) < 0.3 and float((gap > 1).float().mean()) < 1e-3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(500, 375), (40, 30), (700, 8), (1, 1), (3, 200)])
def test_a_crop_is_pillows_to_a_gray_level(interpolation: Any, channels: int, size: tuple[int, int]) -> None:
    image = _scene(*size).convert("RGB" if channels == 3 else "L")
    pixels, crop = photo_of(image), CropConfig(interpolation=interpolation)
    for number in range(4):
        ours = crop_photo(pixels, 64, crop, stream(0, "crop", number))
        left, top, width, height = random_box(*size, crop, stream(0, "crop", number))
        mode = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
        theirs = image.crop((left, top, left + width, top + height)).resize((64, 64), mode)
        assert ours.shape == (channels, 64, 64)
        assert _close(ours, theirs)
        before = crop_by_pillow(pixels, 64, crop, stream(0, "crop", number))
        assert np.array_equal(before.numpy(), to_array(theirs))


def test_bands_are_cropped_by_pillow() -> None:
    planes = np.random.default_rng(0).integers(0, 65536, (4, 30, 40)).astype(np.uint16)
    bands, crop = image_of(planes, 4, 16), CropConfig()
    assert isinstance(bands, Bands)
    ours = crop_photo(photo_of(bands), 16, crop, stream(0, "crop"))
    assert ours.dtype == torch.uint16
    assert np.array_equal(ours.numpy(), to_array(crop_and_resize(bands, 16, crop, stream(0, "crop"))))
