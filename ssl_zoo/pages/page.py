"""What a page is made of, and its HTML. It knows nothing of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ssl_zoo.pages.cells import Badge, Bar, Cell
from ssl_zoo.pages.drawing import DARK, LIGHT, Picture
from ssl_zoo.pages.sorting import SCRIPT, SCRIPT_HASH

__all__ = [
    "Badge",
    "Bar",
    "Block",
    "Cell",
    "Details",
    "Fact",
    "Gallery",
    "Items",
    "Page",
    "Prose",
    "Section",
    "Strips",
    "Table",
    "number",
    "percent",
    "render",
    "seconds",
]


@dataclass(frozen=True)
class Fact:
    """A figure at the top of a page."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str
    kind: str = "prose"


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: Sequence[str]
    kind: str = "items"


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names the row. A cell is text, a badge, or text with more to it."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Badge | Cell]]
    caption: str
    wordy: bool = False  # the last column holds sentences
    sortable: bool = False  # by a click on a heading
    kind: str = "table"


@dataclass(frozen=True)
class Gallery:
    """Pictures beside one another, as many as there is room for; `wide` ones have twice the room.

    `together` is all of them in one, for where pictures are not laid out; on a page it is only a file beside it.
    """

    pictures: Sequence[Picture]
    wide: bool = False
    together: Picture | None = None
    kind: str = "gallery"


@dataclass(frozen=True)
class Strips:
    """Rows of small images, one picture per column; the sheets are the same rows as files."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Picture]]]
    sheets: Mapping[str, bytes]
    kind: str = "strips"


@dataclass(frozen=True)
class Details:
    """Text as it is, folded away unless `shown`."""

    summary: str
    text: str
    shown: bool = False
    kind: str = "details"


Block = Prose | Items | Table | Gallery | Strips | Details


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading."""

    anchor: str
    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page."""

    title: str
    kicker: str  # above the title
    lead: str  # below it
    badge: Badge | None = None
    source: str = ""  # address that the kicker leads to
    facts: Sequence[Fact] = ()
    sections: Sequence[Section] = ()
    foot: str = ""

    def contents(self) -> dict[str, bytes]:
        """The files of the page: its HTML, and each picture of a gallery, each sheet of strips, as a PNG."""
        blocks = [block for section in self.sections for block in section.blocks]
        files = {}
        for block in blocks:
            if isinstance(block, Gallery):
                pictures = [*block.pictures, *([block.together] if block.together else [])]
                files.update({f"{picture.name}.png": picture.png for picture in pictures})
            if isinstance(block, Strips):
                files.update(block.sheets)
        return {"report.html": render(self).encode(errors="replace"), **files}


def render(page: Page) -> str:
    """The page as HTML that needs no other file and no network."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    blocks = [block for section in page.sections for block in section.blocks]
    script = SCRIPT if any(isinstance(block, Table) and block.sortable for block in blocks) else ""
    return environment.get_template("page.html").render(
        page=page, light=LIGHT, dark=DARK, script=Markup(script), script_hash=SCRIPT_HASH
    )


def number(value: float | None, digits: int = 3) -> str:
    """A figure in a cell: so many significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "∞" if value == math.inf else "not finite"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(share: float | None, spread: float | None = None) -> str:
    """An accuracy in a cell, with its standard deviation where there is one."""
    if share is None:
        return "–"
    if not math.isfinite(share):
        return "not finite"
    known = spread is not None and math.isfinite(spread)
    return f"{share:.1%}".replace("%", " %" if not known else f" ± {100 * (spread or 0):.1f} %")


def seconds(value: object) -> str:
    """A time in a cell."""
    if not isinstance(value, (int, float)):
        return "–"
    if value < 120:
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
