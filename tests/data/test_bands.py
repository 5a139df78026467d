"""Arrays as images: which axis the channels are, how types become 8 or 16 bits, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_zoo.data.bands import Bands, channels_first, image_of
from ssl_zoo.data.decode import to_array


def _random(shape: tuple[int, ...], dtype: Any = np.uint16, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((7, 9), None, (1, 7, 9)),
        ((5, 64, 40), None, (5, 64, 40)),
        ((64, 40, 5), None, (5, 64, 40)),
        ((1, 7, 9), None, (1, 7, 9)),
        ((7, 9, 1), 3, (1, 7, 9)),  # gray, which is then repeated
        ((7, 9, 3), 1, (3, 7, 9)),
        ((64, 50, 70), 70, (70, 64, 50)),  # more channels than pixels: the number decides
        ((64, 50, 70), 64, (64, 50, 70)),
    ],
)
def test_the_channels_are_the_axis_of_their_number_or_the_shortest(
    shape: tuple[int, ...], channels: int | None, expected: tuple[int, ...]
) -> None:
    array = _random(shape)
    found = channels_first(array, channels)
    assert found.shape == expected
    last = len(shape) == 3 and expected[0] == shape[2]
    for c, y, x in ((0, 0, 1), (expected[0] - 1, 3, 2)):
        index = (y, x) if len(shape) == 2 else (y, x, c) if last else (c, y, x)
        assert found[c, y, x] == array[index]


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((12, 12, 12), 12, r"both its first and its last axis could be the channels.* \(12, 12, 12\)"),
        ((12, 40, 12), None, "its first or its last axis could be .*; set data.channels to their number"),
        ((64, 50, 70), None, "its first or its last axis could be"),
        ((7,), None, r"must be \(H, W\), \(H, W, C\) or \(C, H, W\); its shape is \(7,\)"),
        ((2, 3, 4, 5), None, r"its shape is \(2, 3, 4, 5\)"),
        ((0, 4, 4), None, "its shape is"),
    ],
)
def test_a_shape_that_could_be_two_things_is_refused(
    shape: tuple[int, ...], channels: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        channels_first(np.zeros(shape, np.uint8), channels)


def test_sixteen_bits_are_kept_to_the_last() -> None:
    planes = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    assert np.array_equal(to_array(image_of(planes, 1, 16)), planes)
    assert np.array_equal(to_array(image_of(planes.astype(">u2"), 1, 16)), planes)
    assert np.array_equal(to_array(image_of(planes, 1, 8)), planes >> 8)


def test_a_value_keeps_its_place_between_black_and_white() -> None:
    planes = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(to_array(image_of(planes, 1, 16)) / 65535, planes / 255)
    floats = np.array([[[0.0, 0.25, 1.0]]])
    assert to_array(image_of(floats, 1, 16)).tolist() == [[[0, 16384, 65535]]]
    assert to_array(image_of(floats.astype(np.float16), 1, 8)).tolist() == [[[0, 64, 255]]]


def test_eight_bit_colours_are_pillows_own_image() -> None:
    planes = _random((3, 5, 6), np.uint8)
    image = image_of(planes, 3, 8)
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image), planes.transpose(1, 2, 0))
    gray = image_of(planes, 1, 8)
    difference = np.abs(to_array(gray).astype(int) - np.asarray(image.convert("L")).astype(int))
    assert difference.max() == 0


def test_gray_is_repeated_and_deep_colour_becomes_luma() -> None:
    gray, colour = _random((1, 5, 6)), _random((3, 5, 6))
    assert np.array_equal(to_array(image_of(gray, 3, 16)), np.concatenate([gray] * 3))
    luma = to_array(image_of(colour, 1, 16))[0]
    assert np.abs(luma - (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])).max() < 1.6
    assert isinstance(image_of(gray, 1, 16), Bands)


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        (
            np.zeros((2, 4, 4), np.int16),
            "values of type int16 have no known black and white; save it as uint8",
        ),
        (np.zeros((2, 4, 4), bool), "values of type bool"),
        (np.full((2, 4, 4), 1.5), r"floats must be in \[0, 1\]; it holds 1.5 to 1.5; divide them"),
        (np.full((2, 4, 4), -0.1), "it holds -0.1 to -0.1"),
        (np.full((2, 4, 4), np.nan), "it holds nan to nan"),
        (np.zeros((3, 4, 4), np.uint16), "it has 3 channels, and data.channels=2"),
        (np.zeros((1, 4, 4), np.uint16), "it has 1 channel, and data.channels=2"),
    ],
)
def test_values_without_a_range_and_other_channels_are_refused(planes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_of(planes, 2, 16)
