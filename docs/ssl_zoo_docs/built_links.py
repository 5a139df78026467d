"""Checks the links of the pages as they were written: files, anchors and pictures, raw HTML's too."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging

__all__ = ["broken_links", "setup"]

logger = logging.getLogger(__name__)


class _Page(HTMLParser):
    """The anchors of a page and what it links to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors, self.links = set[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value or "")
            elif value and (name == "src" or (name == "href" and tag in ("a", "link"))):
                self.links.add(value)


def broken_links(folder: Path) -> list[str]:
    """Returns a line for each link, picture or script of the HTML pages in a folder that leads to no file of it."""
    folder = folder.resolve()
    pages = {path: _read(path) for path in sorted(folder.rglob("*.html"))}
    faults = []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_relative_to(folder) or not target.is_file():
                faults.append(f"{path.relative_to(folder)}: '{link}' is no file of the site")
            elif parts.fragment and target in pages:
                anchor = unquote(parts.fragment)
                if anchor not in pages[target].anchors:
                    faults.append(f"{path.relative_to(folder)}: '{link}' has no such anchor")
    return faults


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _check(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    faults = broken_links(Path(app.outdir))
    for fault in faults:
        logger.warning(fault, type="built_links")
    if faults:
        app.statuscode = 1  # also without -W


def setup(app: Sphinx) -> None:
    """Checks when all is written."""
    app.connect("build-finished", _check)
