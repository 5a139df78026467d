"""Pixels as Pillow and torchvision read them, and files that nothing can read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets.folder import default_loader

from ssl_zoo.data import load_data
from ssl_zoo.data.decode import SUFFIXES, Unreadable, check_image, read_image, to_array


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".JPG", ".Png"])
def test_every_suffix_is_read_as_torchvision_reads_it(suffix: Any, tmp_path: Path, noise: Any) -> None:
    gray = suffix == ".pgm"
    path = str(noise(tmp_path / f"image{suffix}", (9, 7), mode="L" if gray else "RGB"))
    check_image(path)
    assert np.array_equal(np.asarray(read_image(path, 3)), np.asarray(default_loader(path)))
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(read_image(path, 1)), np.asarray(image.convert("L")))


def test_arrays_are_channels_first(tmp_path: Path, noise: Any) -> None:
    path = noise(tmp_path / "image.png", (9, 7))
    pixels = np.asarray(Image.open(path))  # (7, 9, 3)
    assert np.array_equal(to_array(read_image(str(path), 3)), np.stack([pixels[..., c] for c in range(3)]))
    assert to_array(read_image(str(path), 1)).shape == (1, 7, 9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: Any, tmp_path: Path, noise: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(noise(tmp_path / "image.png", (9, 7), exif=exif))
    pixels = np.asarray(Image.open(path))  # as stored, (7, 9, 3)
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]
    assert np.array_equal(np.asarray(read_image(path, 3)), upright)


def test_16_bit_gray_keeps_its_upper_byte(tmp_path: Path) -> None:
    values = np.arange(0, 2**16, 4096, dtype=np.uint16).reshape(4, 4) + 255
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(read_image(str(tmp_path / "deep.png"), 1)), values // 256)
    assert np.array_equal(np.asarray(read_image(str(tmp_path / "deep.png"), 3))[..., 2], values // 256)


@pytest.mark.parametrize("cache_mb", [1.0, 0.0])
def test_transparency_is_dropped_without_a_warning(
    tmp_path: Path, folder_config: Any, cache_mb: float
) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "palette.png", transparency=b"\x80\x40")
    with pytest.warns(UserWarning, match="Transparency"):  # Pillow itself does warn
        default_loader(str(tmp_path / "palette.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (plain,) = load_data(folder_config(tmp_path, cache_mb=cache_mb, workers=0)).train.plain_batches(4, 1)
    assert plain[0, :, 0, 0].tolist() == [0, 255, 0]


def _truncated(path: Any, noise: Any) -> None:
    noise(path, (64, 64), quality=95)
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("text.jpg", lambda path, noise: path.write_text("not an image"), "cannot be identified"),
        ("empty.png", lambda path, noise: path.touch(), "cannot be identified"),
        ("cut.jpg", _truncated, "truncated"),
        ("cut.png", _truncated, ""),
        ("gone.png", lambda path, noise: None, "no such file"),
        ("script.png", lambda path, noise: Image.new("L", (9, 9)).save(path, "EPS"), "cannot be identified"),
        ("float.tif", lambda path, noise: Image.new("F", (9, 9)).save(path), "32 bits per channel"),
    ],
)
def test_an_unreadable_file_says_why(name: str, damage: Any, reason: str, tmp_path: Path, noise: Any) -> None:
    damage(tmp_path / name, noise)
    with pytest.raises(Unreadable) as error:
        read_image(str(tmp_path / name), 3)
    assert error.value.path == str(tmp_path / name)
    assert error.value.reason
    assert reason in error.value.reason
    if name != "cut.jpg":  # a JPEG's header says nothing of its end
        with pytest.raises(Unreadable):
            check_image(str(tmp_path / name))
