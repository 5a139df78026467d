"""A page as GitHub's Markdown: the same blocks in the same order, which can be read as plain text too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from ssl_zoo.pages.page import Badge, Block, Cell, Details, Gallery, Items, Page, Prose, Table

__all__ = ["markdown"]

MARKUP = r"[\\`*\[\]]|(?<!\w)_|_(?!\w)"  # an underscore within a word is no markup


def markdown(page: Page) -> str:
    """Returns the text of `report.md`; pictures are files beside it.

    Raises:
        TypeError: the page has a block that Markdown has no form for.
    """
    source = f"[{_plain(page.kicker)}]({page.source})" if page.source else _plain(page.kicker)
    parts = [f"# {_plain(page.title)}", source]
    parts.append(f"**{_cell(page.badge)}** {_plain(page.lead)}" if page.badge else _plain(page.lead))
    parts.append("\n".join(_fact(fact.label, fact.value, fact.note) for fact in page.facts))
    for section in page.sections:
        parts.append(f"## {_plain(section.heading)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in [*parts, _plain(page.foot)] if part) + "\n"


def _fact(label: str, value: str, note: str) -> str:
    return f"- {_plain(label)}: {_plain(value)}{f' ({_plain(note)})' if note else ''}"


def _block(block: Block) -> str:
    if isinstance(block, Prose):
        return _plain(block.text)
    if isinstance(block, Items):
        return "\n".join(f"- {_plain(text)}" for text in block.texts)
    if isinstance(block, Table):
        return f"{_table(block)}\n\n{_plain(block.caption)}"
    if isinstance(block, Gallery):
        pictures = [block.together] if block.together else block.pictures
        return "\n\n".join(
            f"![{_plain(picture.alt)}]({picture.name}.png)"
            + (f"\n\n{_plain(picture.caption)}" if picture.caption else "")
            for picture in pictures
        )
    if isinstance(block, Details):
        text = f"```text\n{block.text}\n```"
        return f"{_plain(block.summary)}\n\n{text}" if block.shown else _folded(block.summary, text)
    raise TypeError(f"Markdown has no form for a block of the kind {block.kind}")


def _folded(summary: str, text: str) -> str:
    return f"<details>\n<summary>{escape(summary, quote=False)}</summary>\n\n{text}\n\n</details>"


def _table(table: Table) -> str:
    """Pads columns to one width, so that the text is a table too; figures stand at the right."""
    lines = [[_cell(value).replace("|", "\\|") for value in row] for row in (table.header, *table.rows)]
    columns = range(len(table.header))
    last = len(table.header) - 1 if table.wordy else None  # sentences are not padded
    widths = [0 if at == last else max(3, *(len(line[at]) for line in lines)) for at in columns]
    left = [at in (0, last) or any(_is_left(row[at]) for row in table.rows) for at in columns]
    rule = [
        ":--" if at == last else f":{'-' * (widths[at] - 1)}" if left[at] else f"{'-' * (widths[at] - 1)}:"
        for at in columns
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(cells, widths, left, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(lines[0]), line(rule), *map(line, lines[1:])])


def _is_left(value: str | Badge | Cell) -> bool:
    return not isinstance(value, str) and value.left


def _cell(value: str | Badge | Cell) -> str:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, Badge):
        return f"{value.mark} {_plain(value.text)}"
    text = f"`{value.text}`" if value.code else _plain(value.text)
    return f"{text} ({_plain(value.note)})" if value.note else text


def _plain(text: str) -> str:
    """Returns the text in one line, with markup escaped."""
    return re.sub(MARKUP, r"\\\g<0>", " ".join(text.split())).replace("<", "&lt;")
