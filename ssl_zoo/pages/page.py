"""A page as blocks: prose, tables with their cells, pictures. It knows nothing of runs, nor of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_zoo.pages.drawing import Picture  # which imports matplotlib

__all__ = [
    "SIGNS",
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
]

TONES = {
    "healthy": "good",
    "collapsed": "bad",
    "diverged": "bad",
    "partially collapsed": "fair",
    "not learning": "fair",
    "holds": "good",
    "fails": "bad",
    "failed": "bad",
    "undecided": "fair",
    "no difference": "plain",
    "not asked": "plain",
}
SIGNS = {"holds": "✓", "fails": "✕", "no difference": "≈", "undecided": "?", "not asked": "–"}  # of claims
MARKS = {"good": "✓", "bad": "✕", "fair": "!", "plain": "·"}  # colour alone would not show a tone


@dataclass(frozen=True)
class Badge:
    """A verdict in a word; `like` gives the tone where the text says more than that word: `3 × healthy`."""

    text: str
    like: str = ""

    @property
    def tone(self) -> str:
        """The colour: good, fair, bad or plain."""
        return TONES.get(self.like or self.text, "plain")

    @property
    def mark(self) -> str:
        """A sign for the outcome of a claim, else for the tone."""
        return SIGNS.get(self.like or self.text, MARKS[self.tone])

    @property
    def order(self) -> str:
        """The key that a column of badges is sorted by."""
        return self.text

    @property
    def left(self) -> bool:
        """Whether it stands at the left of its column."""
        return True


@dataclass(frozen=True)
class Bar:
    """A fraction of 1 as a length; `hollow` is only outlined."""

    label: str  # read aloud to those who hear the page
    fraction: float
    hollow: bool = False

    @property
    def width(self) -> str:
        """CSS width, in percent of the room."""
        return f"{100 * min(max(self.fraction, 0.0), 1.0):.2f}%"


@dataclass(frozen=True)
class Cell:
    """Text with a sort key, a note, bars or a form of its own.

    Attributes:
        text: as in a plain cell.
        order: the key that a column is sorted by; None: nothing was measured, and the row comes last.
        note: small, below the text.
        bars: beside the text; an empty list keeps the room of the column's other bars, None does not.
        code: set in a monospaced font.
        left: words rather than a figure.
    """

    text: str
    order: float | str | None = None
    note: str = ""
    bars: Sequence[Bar] | None = None
    code: bool = False
    left: bool = False


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
