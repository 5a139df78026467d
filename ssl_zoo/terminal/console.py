"""The console that every verb prints to: results to stdout, messages to stderr. Text is printed as it is.

Paths, names and messages come from users: rich's markup (`[red]`) and emoji codes (`:smile:`) are off, and control
characters, which would steer the terminal, are escaped. Styles are given beside the text, see `styled`.
"""

from __future__ import annotations

import shutil
import sys
from typing import Any

from rich.console import Console as RichConsole
from rich.console import ConsoleDimensions
from rich.status import Status
from rich.text import Text

from ssl_zoo.errors import printable
from ssl_zoo.terminal.streams import discard, write_plainly

__all__ = ["Console", "styled"]

WIDE = 10_000  # columns where there is no terminal to wrap for


class Console(RichConsole):
    """Prints lines of text whole, however long; tables as wide as the terminal, their cells wrapped.

    A reader that has gone away (`ssl-zoo train | head -1`) ends the output and not the verb.

    Args:
        quiet: print nothing.
        stderr: print to stderr, as messages and progress are, in place of stdout.
        wide: wrap no cells of tables where there is no terminal.
    """

    def __init__(self, *, quiet: bool = False, stderr: bool = False, wide: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        if getattr(stream, "errors", None) == "strict" and not stream.encoding.lower().startswith("utf"):
            write_plainly(stream)  # in Python too, where a `·` must end no training
        super().__init__(quiet=quiet, stderr=stderr, markup=False, highlight=False, emoji=False)
        if self.is_dumb_terminal:  # to which rich gives 80 columns
            self.size = ConsoleDimensions(*shutil.get_terminal_size())
        if wide and not self.is_terminal:
            self.width = WIDE

    @property
    def redraws(self) -> bool:
        """Whether a line can be drawn anew: not in a pipe that FORCE_COLOR colours, nor on a dumb terminal."""
        return self.is_terminal and not self.is_dumb_terminal and self.file.isatty()

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as rich does."""
        options.setdefault("soft_wrap", all(isinstance(object_, (str, Text)) for object_ in objects))
        super().print(*objects, **options)

    def status(self, status: Any, **options: Any) -> Status:
        """Shows what is being waited for, as rich does; with plain letters where the terminal has no others."""
        options.setdefault("spinner", "dots" if self.encoding.startswith("utf") else "line")
        return super().status(status, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turns a string, a table's cells included, into rich's text."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Prints nothing from here on."""
        self.quiet = True
        discard(sys.stderr if self.stderr else sys.stdout)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Joins plain texts and pairs of a text and its style."""
    return Text.assemble(*(printable(p) if isinstance(p, str) else (printable(p[0]), p[1]) for p in parts))
