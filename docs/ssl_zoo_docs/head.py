"""What search engines and previews of links read: description, title and picture of each page, and a sitemap.

A page's description is that in its front matter, or else its first paragraph.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

__all__ = ["describe", "setup"]

LONGEST = 160  # characters; search engines show about so many
SHORTEST = 40
SITEMAP = "sitemap.xml"


def describe(doctree: nodes.document) -> str:
    """Returns the description in a page's front matter, or its first paragraph, cut at a word."""
    for meta in doctree.findall(nodes.meta):
        if meta.get("name") == "description":
            return str(meta["content"])
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, (nodes.section, nodes.document)):
            text = " ".join(paragraph.astext().split())
            if len(text) > SHORTEST:
                return text if len(text) <= LONGEST else text[: text.rindex(" ", 0, LONGEST)] + " …"
    return ""


def _add(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None:
        return
    if page == app.config.root_doc:
        context["docstitle"] = ""  # the front page has its own heading for its title
    text = describe(doctree)
    tags = {
        "og:title": doctree.next_node(nodes.title),
        "og:description": text,
        "og:url": context.get("pageurl"),
    }
    lines = [f'<meta property="{name}" content="{_text(value)}" />' for name, value in tags.items() if value]
    if text and not any(doctree.findall(nodes.meta)):
        lines.append(f'<meta name="description" content="{_text(text)}" />')
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def _text(value: Any) -> str:
    return escape(value.astext() if isinstance(value, nodes.Node) else str(value), quote=True)


def _write_sitemap(app: Sphinx, error: Exception | None) -> None:
    """Lists the pages, where the site's address is known."""
    base = app.config.html_baseurl
    if error is not None or app.builder.name != "html" or not base:
        return
    pages = sorted(app.env.found_docs)
    lines = [f"<url><loc>{escape(base.rstrip('/'))}/{page}.html</loc></url>" for page in pages]
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    )
    text = "\n".join([head, *lines, "</urlset>\n"])
    Path(app.outdir, SITEMAP).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Adds the tags when a page is written, and the sitemap when all are."""
    app.connect("html-page-context", _add)
    app.connect("build-finished", _write_sitemap)
