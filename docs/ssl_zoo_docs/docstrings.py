"""Docstrings as this project writes them, in Sphinx's markup.

They are plain text with `code`, lists, indented formulas and Google's sections, and know no other markup: `|p|` is a
length and `2 * p` a product. Napoleon reads the sections; it is called from here, as its extension would take the words
before a colon of an attribute's docstring for a type.
"""

from __future__ import annotations

import re
import textwrap
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

__all__ = ["setup", "to_restructured"]

SECTION = re.compile(r"(Args|Arguments|Attributes|Returns|Raises|Yields|Examples?|Notes?):$")
LIST = re.compile(r"(\s*)([-*]|\d+\.) ")
LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
CODE = re.compile(r"(`+)(.+?)\1")
FIELDS = {"Returns:": "returns", "Yields:": "yields"}
ATTRIBUTES = {"attribute", "property", "data"}


def to_restructured(lines: list[str]) -> list[str]:
    """Returns lines in which nothing but code, lists, links, literal blocks and Google's sections is markup.

    A paragraph that is indented, a table of `|` and columns whose lines hang stand as they are; in a section and in a
    list's item indentation has its own meaning.
    """
    out, section, in_list = list[str](), False, False
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if blank:
            out += paragraph
            continue
        indents = [len(line) - len(line.lstrip()) for line in paragraph]
        if indents[0] == 0:
            section, in_list = bool(SECTION.match(paragraph[0])), bool(LIST.match(paragraph[0]))
        hangs = len(paragraph) > 1 and indents[0] == 0 and max(indents) >= 4
        stands = indents[0] >= 4 or paragraph[0].startswith("|") or hangs
        if stands and not section and not in_list:
            before = min(indents)
            out += ["::", "", *(f"    {line[before:]}" for line in paragraph)]
        else:
            out += [_inline(line) for line in paragraph]
    return out


def returns_as_field(lines: list[str]) -> list[str]:
    """Returns lines whose section Returns is a field: napoleon would take the words before a colon for a type."""
    out, index = list[str](), 0
    while index < len(lines):
        field = FIELDS.get(lines[index])
        index += 1
        if field is None:
            out.append(lines[index - 1])
            continue
        end = next((i for i in range(index, len(lines)) if lines[i][:1].strip()), len(lines))
        text = textwrap.dedent("\n".join(lines[index:end])).split("\n")
        out += [f":{field}: {text[0]}", *(f"    {line}".rstrip() for line in text[1:])]
        index = end
    return out


def _inline(line: str) -> str:
    """Escapes what is no markup in these docstrings; code stays, and Markdown's links are translated."""
    bullet = LIST.match(line)
    start = bullet.end() if bullet else 0
    parts, last = [line[:start]], start
    for code in CODE.finditer(line, start):
        parts += [_escape(line[last : code.start()]), f"``{code[2]}``"]
        last = code.end()
    return "".join([*parts, _escape(line[last:])])


def _escape(text: str) -> str:
    parts = LINK.split(text)
    escaped = [re.sub(r"([|*\\])|(?<=\w)_(?=\W|$)", lambda match: f"\\{match[0]}", part) for part in parts]
    for index in range(1, len(parts), 3):
        escaped[index : index + 2] = [f"`{parts[index]} <{parts[index + 1]}>`__", ""]
    return "".join(escaped)


def _rewrite(app: Sphinx, what: Any, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured(lines)
    if what not in ATTRIBUTES:
        settings: Any = Config(napoleon_use_ivar=True)
        lines[:] = GoogleDocstring(returns_as_field(lines), settings, app, what, name, obj).lines()


def setup(app: Sphinx) -> None:
    """Rewrites before anything else reads them."""
    app.connect("autodoc-process-docstring", _rewrite, priority=100)
