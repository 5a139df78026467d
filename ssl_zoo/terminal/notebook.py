"""Progress in a notebook's cell: one output that is updated, with a bar and the lines that a verb logs meanwhile.

rich's own bar needs ipywidgets there, and prints each frame as an output of its own without it.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

from markupsafe import escape

__all__ = ["NotebookBar"]

REFRESH_SECONDS = 0.1  # between two frames
LAST_LINES = 200  # that are shown


class NotebookBar:
    """A bar that counts units, with a description, the time left, and lines below it.

    Args:
        unit: what is counted.
        total: units of the whole.
        done: units of an earlier start.
    """

    def __init__(self, unit: str, total: float, done: float = 0) -> None:
        self.unit, self.total, self.done, self.before = unit, total, done, done
        self.description = ""
        self.lines: list[str] = []
        self.started = self.drawn = time.monotonic()
        self._handle: Any = None

    def start(self) -> None:
        """Shows the bar."""
        self.started = time.monotonic()
        self._handle = importlib.import_module("IPython.display").display(self, display_id=True)

    @property
    def is_shown(self) -> bool:
        """Whether it has been started and not yet stopped."""
        return self._handle is not None

    def update(
        self, _: object = None, *, completed: float, description: str, total: float | None = None
    ) -> None:
        """Moves the bar, or changes its total too."""
        self.done, self.description = completed, description
        self.total = self.total if total is None else total
        self._draw()

    def log(self, line: str) -> None:
        """Adds a line."""
        self.lines.append(line)
        self._draw()

    def stop(self) -> None:
        """Shows the bar as it is in the end."""
        self._draw(now=True)
        self._handle = None

    def _draw(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if self._handle is not None and (now or moment - self.drawn >= REFRESH_SECONDS):
            self.drawn = moment
            self._handle.update(self)

    def __repr__(self) -> str:
        return "\n".join([self._in_words(), *self.lines[-LAST_LINES:]])

    def _repr_html_(self) -> str:
        lines = "\n".join(self.lines[-LAST_LINES:])
        below = f'<pre style="max-height: 20em; overflow: auto">{escape(lines)}</pre>' if lines else ""
        return (
            f'<div><progress max="{max(self.total, 1):g}" value="{self.done:g}" style="width: 16em; vertical-align: '
            f'middle"></progress> <span style="font-size: 13px">{escape(self._in_words())}</span>{below}</div>'
        )

    def _in_words(self) -> str:
        count = f"{self.unit} {self.done:.4g}/{self.total:g}"
        return " · ".join(filter(None, [count, self.description, self._time()]))

    def _time(self) -> str:
        """Returns the time left, or in the end the time taken."""
        taken, moved = time.monotonic() - self.started, self.done - self.before
        if self.done >= self.total:
            return f"{taken:.0f} s"
        return f"{taken / moved * (self.total - self.done):.0f} s left" if moved > 0 else ""
