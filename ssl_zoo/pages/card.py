"""A card: what a result shows of itself in a notebook's cell, as HTML in the colours of the notebook's theme.

A page's charts are drawn twice, in light and dark colours, and weigh 30 kB each; a cell does not know its theme, and a
notebook keeps each output. So a card draws its curves as lines of SVG in the colour of the text around them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Badge, Cell, Details

__all__ = ["Card", "CardTable", "Curve", "card_html", "is_figure"]

WIDTH, HEIGHT = 250, 120  # pixels of a curve
LEFT, RIGHT, TOP, BOTTOM = 44, 6, 8, 16  # of it, around the lines
FIGURE = re.compile(r"[−-]?[\d.,]+(e[−-]?\d+)?( ± [\d.]+)?( ?%| s| min| h|/\d+)?|null|nan|–")


def is_figure(text: str) -> bool:
    """Whether a cell's text is a figure, a time or a dash, which stand at the right of a column."""
    return FIGURE.fullmatch(text) is not None


class Level(NamedTuple):
    """A horizontal line of a curve, with its text."""

    at: float
    text: str
    is_baseline: bool = False


@dataclass(frozen=True)
class Curve:
    """A figure over the epochs, drawn as a line.

    Attributes:
        title: above it.
        x, y: its points; those that are not finite are left out.
        baselines: named heights, dashed.
        in_percent: whether heights are fractions of 1.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    baselines: Sequence[tuple[str, float]] = ()
    in_percent: bool = False

    width, height = WIDTH, HEIGHT
    left, right = LEFT, WIDTH - RIGHT

    @property
    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        pairs = zip(self.x, self.y, strict=True)
        return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest height."""
        heights = [*(y for _, y in self.finite), *(height for _, height in self.baselines)]
        low, high = min(heights), max(heights)
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    @property
    def levels(self) -> list[Level]:
        """The lines at the least and largest height, and the baselines."""
        edges = [Level(self._at(height), self.written(height)) for height in self.bounds]
        return [*edges, *(Level(self._at(height), name, True) for name, height in self.baselines)]

    @property
    def points(self) -> str:
        """The points as SVG takes them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self._placed())

    @property
    def end(self) -> tuple[float, float]:
        """The last point."""
        x, y = self._placed()[-1]
        return round(x, 1), round(y, 1)

    @property
    def first(self) -> str:
        """The text below the left end."""
        return f"epoch {self.finite[0][0]:g}"

    @property
    def last(self) -> str:
        """The text below the right end."""
        return f"{self.finite[-1][0]:g}"

    @property
    def in_words(self) -> str:
        """What it shows, for those who hear it."""
        (start, begin), (stop, end) = self.finite[0], self.finite[-1]
        return (
            f"{self.title}: {self.written(begin)} at epoch {start:g}, {self.written(end)} at epoch {stop:g}"
        )

    def written(self, height: float) -> str:
        """Returns a height as text."""
        return percent(height) if self.in_percent else number(height)

    def _placed(self) -> list[tuple[float, float]]:
        start, stop = self.finite[0][0], self.finite[-1][0]
        scale = (self.right - self.left) / ((stop - start) or 1.0)
        return [(self.left + (x - start) * scale, self._at(y)) for x, y in self.finite]

    def _at(self, height: float) -> float:
        low, high = self.bounds
        return round(TOP + (high - height) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)


@dataclass(frozen=True)
class CardTable:
    """A table of a card; a cell is text, a badge, or text with a note.

    Attributes:
        header: headings.
        rows: cells.
        caption: below it.
        hints: of each heading, shown when the mouse rests on it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str | Badge | Cell]]
    caption: str = ""
    hints: Sequence[str] = ()

    def is_right(self, column: int) -> bool:
        """Whether a column holds figures alone, which stand at its right."""
        texts = [_text(row[column]) for row in self.rows]
        return any(texts) and all(text is not None and (not text or is_figure(text)) for text in texts)


@dataclass(frozen=True)
class Card:
    """What a result shows of itself; all texts are plain and are escaped."""

    title: str
    badge: Badge | None = None
    texts: Sequence[str] = ()
    tables: Sequence[CardTable] = ()
    curves: Sequence[Curve] = ()
    details: Sequence[Details] = ()
    foot: str = ""


def _text(value: Badge | Cell | str) -> str | None:
    return None if isinstance(value, Badge) else value if isinstance(value, str) else value.text


def card_html(card: Card) -> str:
    """Returns a card as HTML, for `_repr_html_`; curves without a finite point are left out."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = replace(card, curves=[curve for curve in card.curves if curve.finite])
    return environment.get_template("card.html").render(card=drawn)
