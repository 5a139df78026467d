"""The directive `commands`: what `ssl-zoo --help` and `ssl-zoo VERB --help` print."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS

__all__ = ["setup"]

WIDTH = 96  # characters, which a page has room for


def help_of(*arguments: str) -> str:
    """Returns what the command line prints for these arguments.

    Raises:
        ExtensionError: it fails.
    """
    with _columns(WIDTH), contextlib.redirect_stdout(io.StringIO()) as out:
        status = main([*arguments])
    if status or not out.getvalue().strip():
        raise ExtensionError(f"ssl-zoo {' '.join(arguments)} prints no help: status {status}")
    return out.getvalue()


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    """Makes the command line take the terminal for this wide."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


class Commands(SphinxDirective):
    """The help of the whole, and a section for each verb with its own."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Returns the texts as they are printed."""
        found: list[nodes.Node] = [_text(help_of("--help"))]
        for verb in VERBS:
            name = f"ssl-zoo {verb}"
            title = nodes.title("", "", nodes.literal("", name))
            found.append(nodes.section("", title, _text(help_of(verb, "--help")), ids=[verb], names=[name]))
        return found


def _text(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="text", classes=["help"])


def setup(app: Sphinx) -> None:
    """Adds the directive."""
    app.add_directive("commands", Commands)
