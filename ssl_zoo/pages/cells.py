"""What stands in the cell of a table, besides plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Badge", "Bar", "Cell"]

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
}
MARKS = {"good": "✓", "bad": "✕", "fair": "!", "plain": "·"}  # a tone is not told by colour alone


@dataclass(frozen=True)
class Badge:
    """A verdict in a word. `like` gives the tone where the text says more than that word: `3 × healthy`."""

    text: str
    like: str = ""

    @property
    def tone(self) -> str:
        """good, fair, bad or plain."""
        return TONES.get(self.like or self.text, "plain")

    @property
    def mark(self) -> str:
        """A sign for the tone."""
        return MARKS[self.tone]

    @property
    def order(self) -> str:
        """What a column of badges is sorted by."""
        return self.text

    @property
    def left(self) -> bool:
        """It stands at the left of its column."""
        return True


@dataclass(frozen=True)
class Bar:
    """A share of 1 as a length; `hollow` is only outlined."""

    label: str  # whose it is, for those who hear the page
    share: float
    hollow: bool = False

    @property
    def width(self) -> str:
        """In percent of the room."""
        return f"{100 * min(max(self.share, 0.0), 1.0):.2f}%"


@dataclass(frozen=True)
class Cell:
    """Text with more than its words.

    Attributes:
        text: as in a plain cell.
        order: what a column is sorted by; None: nothing was measured, and the row comes last.
        note: small, below the text.
        bars: beside the text; none of them keeps the room that the column's others have, None does not.
        code: the text is one that a program reads.
        left: words rather than a figure.
    """

    text: str
    order: float | str | None = None
    note: str = ""
    bars: Sequence[Bar] | None = None
    code: bool = False
    left: bool = False
