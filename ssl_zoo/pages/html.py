"""A page as HTML: one file that needs no other and no network.

The script of pages with sortable tables makes a button of each heading; without it the tables are as they are. A
column's first order is the useful one: largest first for figures, by the alphabet for words. The second is its reverse,
the third is that of the page. What was not measured comes last in each.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ssl_zoo.pages.drawing import DARK, LIGHT
from ssl_zoo.pages.page import Gallery, Page, Strips, Table

__all__ = ["page_files", "render"]

HERE = Path(__file__).parent
SCRIPT = f"\n{(HERE / 'sorting.js').read_text(encoding='utf-8')}"
# The page's policy lets this script run and no other.
SCRIPT_HASH = f"sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}"


def page_files(page: Page) -> dict[str, bytes]:
    """Returns the files of a page: report.html, and as PNG each picture of a gallery and each sheet of strips."""
    blocks = [block for section in page.sections for block in section.blocks]
    files = {}
    for block in blocks:
        if isinstance(block, Gallery):
            pictures = [*block.pictures, *([block.together] if block.together else [])]
            files.update({f"{picture.name}.png": picture.png for picture in pictures})
        if isinstance(block, Strips):
            files.update(block.sheets)
    return {"report.html": render(page).encode(errors="replace"), **files}


def render(page: Page) -> str:
    """Returns the HTML of a page."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
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
