"""Legends, and names that fit into them: those that the font can draw, cut to a width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.legend import Legend

from ssl_zoo.pages.drawing import FONT

__all__ = ["LINES", "POINTS", "Style", "add_legend", "columns", "drawable", "legend_height", "short"]

EDGE = 2.0  # fonts' sizes that matplotlib leaves around a legend, left and right together
LINE = 1.7  # of a row, in the font's size


@dataclass(frozen=True)
class Style:
    """Measures of a legend: the font's size in points, the others in multiples of it."""

    size: float
    handle: float
    pad: float  # between handle and text
    spacing: float  # between columns
    most: int  # columns


LINES = Style(size=7.5, handle=2.4, pad=0.8, spacing=2.0, most=2)
POINTS = Style(size=8.0, handle=2.0, pad=0.1, spacing=1.0, most=5)


def drawable(names: Sequence[str], kind: str = "") -> list[str]:
    """Returns the names or, where the font lacks a letter of any, the kind with their numbers from 1: `run 1`."""
    font = _font()
    if all(font.get_char_index(ord(letter)) for name in names for letter in name):
        return list(names)
    return [f"{kind} {number}".strip() for number in range(1, len(names) + 1)]


def short(text: str, most: int = 16) -> str:
    """Cuts a text in the middle: names of runs differ at their ends."""
    half = most // 2
    return text if len(text) <= most else f"{text[: most - half - 1]}…{text[-half:]}"


def columns(labels: Sequence[str], inches: float, style: Style) -> int:
    """Returns how many columns of labels fit a figure so wide, read row by row: 1 to `style.most`."""
    widths = [_width(label, style) + (style.handle + style.pad) * style.size for label in labels]
    for number in range(style.most, 1, -1):
        row = sum(max(widths[column::number], default=0.0) for column in range(number))
        if row + ((number - 1) * style.spacing + EDGE) * style.size <= 72 * inches:
            return number
    return 1


def legend_height(labels: Sequence[str], inches: float, style: Style) -> float:
    """Returns the inches that a legend of these labels takes below a figure so wide."""
    return -(-len(labels) // columns(labels, inches, style)) * LINE * style.size / 72


def add_legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], style: Style) -> Legend:
    """Puts a legend below a figure's axes, its entries in rows."""
    number = columns(labels, figure.get_figwidth(), style)
    order = [i for column in range(number) for i in range(column, len(labels), number)]  # it fills columns
    sizes: dict[str, Any] = {
        "fontsize": style.size, "handlelength": style.handle, "handletextpad": style.pad,
        "columnspacing": style.spacing,
    }  # fmt: skip
    # matplotlib leaves out labels that begin with an underscore, so they get their text afterwards.
    legend = figure.legend([handles[i] for i in order], ["-"] * len(order), loc="outside lower center",
                         ncols=number, **sizes)  # fmt: skip
    for text, i in zip(legend.get_texts(), order, strict=True):
        text.set_text(labels[i])
    return legend


def _width(label: str, style: Style) -> float:
    """Returns the width of a label in points."""
    font = _font()
    font.set_size(style.size, 72)
    font.set_text(label)
    return float(font.get_width_height()[0]) / 64


@cache
def _font() -> FT2Font:
    return get_font(findfont(FONT))
