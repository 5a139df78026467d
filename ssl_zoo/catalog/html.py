"""A table of runs as HTML, for a notebook's cell."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.pages.card import Card, CardTable, card_html
from ssl_zoo.pages.page import Badge, Cell

__all__ = ["html_table"]


def html_table(
    title: str,
    columns: Sequence[str],
    headings: Sequence[str],
    cells: Sequence[Sequence[str]],
    foot: str = "",
) -> str:
    """Returns a table as HTML, its outcomes as badges.

    Args:
        title: above it.
        columns: full names, shown when the mouse rests on a heading.
        headings: short names.
        cells: a row of texts each.
        foot: below it.
    """
    rows: list[list[str | Badge | Cell]] = [
        [
            Badge(text) if name in ("outcome", "verdict", "state") else text
            for name, text in zip(columns, row, strict=True)
        ]
        for row in cells
    ]
    return card_html(Card(title, tables=[CardTable(headings, rows, hints=columns)], foot=foot))
