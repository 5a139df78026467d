"""A description of each page for search engines: the one in its front matter, or else its first paragraph."""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["setup"]

LONGEST = 160  # characters; search engines show about so many


def describe(doctree: nodes.document) -> str:
    """Returns the first paragraph of a page, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, (nodes.section, nodes.document)):
            text = " ".join(paragraph.astext().split())
            if len(text) > 40:
                return text if len(text) <= LONGEST else text[: text.rindex(" ", 0, LONGEST)] + " …"
    return ""


def _add(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None or 'name="description"' in context.get("metatags", ""):
        return
    if text := describe(doctree):
        context["metatags"] += f'\n<meta name="description" content="{escape(text, quote=True)}" />'


def setup(app: Sphinx) -> None:
    """Adds the tag when a page is written."""
    app.connect("html-page-context", _add)
