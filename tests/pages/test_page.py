"""A page's figures, colours, strips of images and HTML."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ssl_zoo.pages.drawing import DARK, LIGHT
from ssl_zoo.pages.html import render
from ssl_zoo.pages.image_strips import BLUE, ORANGE, strip, tile
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Page, Prose, Section, Table


def test_a_tile_is_magnified_by_whole_pixels() -> None:
    pixels = torch.arange(12 * 12, dtype=torch.uint8).view(1, 12, 12)
    large = np.asarray(tile(pixels))
    assert (large == np.kron(pixels[0].numpy(), np.ones((5, 5), np.uint8))[..., None]).all()
    assert tile(torch.rand(3, 100, 100)).size == (64, 64)


def test_marks_stand_below_their_tiles() -> None:
    black = tile(torch.zeros(1, 64, 64))
    row = np.asarray(strip([black] * 3, [None, True, False]))[64:]
    centres = {name: np.argwhere((row[..., :3] == ink).all(-1) & (row[..., 3] > 0))[:, 1] for name, ink in
               (("right", BLUE), ("wrong", ORANGE))}  # fmt: skip
    right, wrong = 64 + 4 + 12 + 32, 2 * 68 + 12 + 32
    assert abs(centres["right"].mean() - right) < 2
    assert abs(centres["wrong"].mean() - wrong) < 2
    assert row[:, :64, 3].max() == 0


@pytest.mark.parametrize(("theme", "least"), [(LIGHT, 1.9), (DARK, 3.0)])
def test_class_colours_are_seen_and_differ(theme: Any, least: float) -> None:
    def luminance(colour: Any) -> Any:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for colour in theme.classes:
        low, high = sorted((luminance(colour), luminance(theme.ground)))
        assert (high + 0.05) / (low + 0.05) >= least
    assert len(set(theme.classes)) == 10


def test_names_are_text_not_markup() -> None:
    page = Page("<script>x</script>", "k", "l", sections=[
        Section("a", "<b>", [Prose("<i>"), Table(("<u>",), [("<s>",)], '"<em>')])
    ])  # fmt: skip
    html = render(page)
    assert not any(tag in html for tag in ("<script>x", "<b>", "<i>", "<u>", "<s>", "<em>"))


def test_figures_in_cells() -> None:
    assert [number(v) for v in (None, 0.0, 12.345, -2.0, 1234.5, 4.2e-7, math.inf, math.nan)] == [
        "–", "0", "12.3", "−2.00", "1234", "4.20e−07", "∞", "not finite",
    ]  # fmt: skip
    assert [percent(None), percent(0.9614), percent(0.9614, 0.0119), percent(0.5, math.nan)] == [
        "–", "96.1 %", "96.1 ± 1.2 %", "50.0 %",
    ]  # fmt: skip
