"""A table laid out as lines of text, for a terminal of any width or for a pipe.

rich's own tables take 3 s for a thousand rows, and leave the choice of columns to chance where a terminal is narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ssl_zoo.pages.card import is_figure

__all__ = ["Layout", "lay_out"]

GAP = 2
# Where there is no room: columns that all rows share go first, then these, keys of the configuration, and the rest.
FIRST_TO_GO = ("date", "time", "output_std_ratio", "data", "epoch", "differs", "seed")
STAYS = ("run", "outcome")
LEAST = {
    "run": 24,
    "method": 8,
    "differs": 14,
    "data": 8,
    "date": 16,
    "outcome": 19,
}  # characters to which one is cut
CUT = 12  # characters of other columns, likewise


@dataclass
class Layout:
    """Lines of a table.

    Attributes:
        lines: the first is the heading.
        spans: begin and end of each column that is shown, in characters.
        shared: columns that were left out, as all rows have the same text there.
        left_out: other columns for which there was no room.
    """

    lines: list[str]
    spans: dict[str, tuple[int, int]]
    shared: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def lay_out(
    columns: Sequence[str], headings: Sequence[str], cells: Sequence[Sequence[str]], width: int | None
) -> Layout:
    """Lays out a table.

    Args:
        columns: names.
        headings: what stands above them.
        cells: a row of texts each.
        width: characters of a line; None: as many as it takes.
    """
    natural = {
        name: max(len(headings[at]), *(len(row[at]) for row in cells)) if cells else len(headings[at])
        for at, name in enumerate(columns)
    }
    kept, shared, left_out = list(columns), dict[str, str](), list[str]()
    widths = _fitted(natural, kept, width)
    for name in _order_of_leaving(columns, cells):
        if widths is not None:
            break
        kept.remove(name)
        values = {row[columns.index(name)] for row in cells}
        if len(values) == 1 and len(cells) > 1:
            shared[headings[columns.index(name)]] = values.pop()
        else:
            left_out.append(headings[columns.index(name)])
        widths = _fitted(natural, kept, width)
    widths = widths or {name: min(natural[name], LEAST.get(name, CUT)) for name in kept}
    at = [columns.index(name) for name in kept]
    right = [bool(cells) and all(is_figure(row[i]) for row in cells) for i in at]

    def line(row: Sequence[str]) -> str:
        texts = [cut(row[i], widths[columns[i]]) for i in at]
        padded = (
            text.rjust(widths[columns[i]]) if is_right else text.ljust(widths[columns[i]])
            for text, i, is_right in zip(texts, at, right, strict=True)
        )
        return (" " * GAP).join(padded).rstrip()

    spans, start = {}, 0
    for name in kept:
        spans[name] = (start, start + widths[name])
        start += widths[name] + GAP
    return Layout([line(headings), *map(line, cells)], spans, shared, left_out)


def cut(text: str, width: int) -> str:
    """Leaves out the middle of a text that is too long."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _order_of_leaving(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    free = [name for name in columns if name not in STAYS]
    shared = [n for n in free if len(cells) > 1 and len({row[columns.index(n)] for row in cells}) == 1]
    first = [name for name in FIRST_TO_GO if name in free]
    keys = [name for name in reversed(free) if "." in name]
    return [*dict.fromkeys([*shared, *first, *keys, *reversed(free)])]


def _fitted(natural: dict[str, int], kept: Sequence[str], width: int | None) -> dict[str, int] | None:
    """Returns the widths of columns that fit, long texts cut as far as need be; None where they don't."""
    widths = {name: natural[name] for name in kept}
    over = 0 if width is None else sum(widths.values()) + GAP * (len(kept) - 1) - width
    while over > 0:
        room = {name: widths[name] - LEAST.get(name, CUT) for name in kept}
        widest = max(room, key=lambda name: room[name])
        if room[widest] <= 0:
            return None
        widths[widest] -= 1
        over -= 1
    return widths
