"""What the site does beyond Sphinx and MyST; each file is one thing."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from . import api, built_links, commands, docstrings, gallery, head, keys, names, reports, repository

PARTS = (api, built_links, commands, docstrings, gallery, head, keys, names, repository, reports)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    for part in PARTS:
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
