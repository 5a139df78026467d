"""The quick look at headers, against Pillow: what it lets pass, Pillow does."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from ssl_zoo.data.decode import Unreadable, check_image
from ssl_zoo.data.headers import is_surely_readable


def _file(kind: str, mode: str = "RGB", size: tuple[int, int] = (9, 7), **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(memory, kind, **options)
    return memory.getvalue()


def _exif(turned: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turned
    return exif


def _text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "of a photo")
    return text


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORDINARY = {
    "JPEG": _file("JPEG"),
    "gray JPEG": _file("JPEG", "L"),
    "CMYK JPEG": _file("JPEG", "CMYK"),
    "progressive JPEG": _file("JPEG", progressive=True),
    "JPEG with a resolution, Exif, a profile and a comment": _file(
        "JPEG", dpi=(72, 72), exif=_exif(), icc_profile=PROFILE, comment=b"of a photo"
    ),
    "JPEG with a long header": _file("JPEG", icc_profile=PROFILE + bytes(70_000)),
    "PNG": _file("PNG"),
    "gray PNG": _file("PNG", "L"),
    "transparent PNG": _file("PNG", "RGBA", dpi=(72, 72)),
}
LEFT_TO_PILLOW = {
    "JPEG with Exif alone": _file("JPEG", exif=_exif()),
    "PNG with text": _file("PNG", pnginfo=_text()),
    "PNG with a palette": _file("PNG", "P"),
    "PNG of 16 bits": _file("PNG", "I;16"),
    "BMP": _file("BMP"),
    "WebP": _file("WEBP"),
    "GIF": _file("GIF"),
    "nothing": b"",
    "text": b"no image",
}
ALL = [*ORDINARY.values(), *LEFT_TO_PILLOW.values()]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_files_need_no_other_look(name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(ORDINARY[name])
    assert is_surely_readable(str(tmp_path / "image"))


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_others_are_left_to_pillow(name: str, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(LEFT_TO_PILLOW[name])
    assert not is_surely_readable(str(tmp_path / "image"))


def test_what_cannot_be_opened_is_left_to_pillow(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.jpg"):
        assert not is_surely_readable(str(path))
    assert not is_surely_readable("a name with a zero \0")


@pytest.mark.parametrize("name", ORDINARY)
def test_every_place_to_cut_a_file_off(name: str, tmp_path: Path) -> None:
    """JPEG's pixels are not looked at by either; a PNG is whole or is not."""
    whole, path = ORDINARY[name], tmp_path / "image"
    for length in {*range(0, min(len(whole), 1400), 3), len(whole) - 1, len(whole) - 13}:
        path.write_bytes(whole[:length])
        _assert_not_laxer(path)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(ALL),
    changes=st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=3),
    inserted=st.tuples(st.integers(0, 400), st.binary(max_size=6)),
)
@example(file=ORDINARY["JPEG"], changes=[(2, 0xFF), (3, 0xFF)], inserted=(0, b""))
def test_whatever_is_changed_nothing_passes_that_pillow_refuses(
    file: bytes, changes: list[tuple[int, int]], inserted: tuple[int, bytes], tmp_path: Path
) -> None:
    changed = bytearray(file)
    for place, value in changes:
        if place < len(changed):
            changed[place] = value
    changed[inserted[0] : inserted[0]] = inserted[1]
    (tmp_path / "image").write_bytes(changed)
    _assert_not_laxer(tmp_path / "image")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    segments=st.lists(
        st.tuples(
            st.one_of(st.integers(0xC0, 0xFE), st.sampled_from([0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xDB, 0xC0])),
            st.sampled_from(
                [
                    b"",
                    b"JFIF\0",
                    b"Exif\0\0",
                    b"MPF\0",
                    b"ICC_PROFILE\0",
                    b"Photoshop 3.0\0",
                    b"Adobe",
                    b"\x08",
                ]
            ),
            st.binary(max_size=70),
        ),
        max_size=3,
    )
)
def test_whatever_segments_a_jpeg_has(segments: list[tuple[int, bytes, bytes]], tmp_path: Path) -> None:
    plain = ORDINARY["JPEG"]
    more = b"".join(
        bytes([0xFF, marker]) + (2 + len(name + rest)).to_bytes(2, "big") + name + rest
        for marker, name, rest in segments
    )
    for place in (2, 20):  # before and after the first segment, of 18 bytes
        (tmp_path / "image").write_bytes(plain[:place] + more + plain[place:])
        _assert_not_laxer(tmp_path / "image")


def _assert_not_laxer(path: Path) -> None:
    if not is_surely_readable(str(path)):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check_image(str(path))
        except Unreadable as error:
            raise AssertionError(f"{path.read_bytes()!r}: {error}") from error
