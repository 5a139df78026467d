"""Progress of a verb: a bar on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ssl_zoo.terminal.console import Console
from ssl_zoo.terminal.notebook import NotebookBar

__all__ = ["ProgressDisplay", "bar_of"]


def bar_of(unit: str, console: Console) -> Progress:
    """Returns a bar that counts units, with a description and the time left; not yet shown."""
    named, described, left = (TextColumn(t, markup=False) for t in (unit, "{task.description}", "left"))
    columns = (named, MofNCompleteColumn(), BarColumn(), described, left, TimeRemainingColumn())
    return Progress(*columns, console=console)


class ProgressDisplay:
    """Logs lines to stderr and, on a terminal or in a notebook, shows a bar.

    Args:
        unit: what is counted.
        total: units of the whole.
        done: units of an earlier start.
        silent: print nothing at all.
        bar: whether a terminal or a notebook gets a bar.
    """

    def __init__(
        self, unit: str, total: int, done: int = 0, *, silent: bool = False, bar: bool = True
    ) -> None:
        self.console, self.results = Console(quiet=silent, stderr=True), Console(quiet=silent)
        self.total = total
        self.started = time.perf_counter()
        self.bar: Progress | NotebookBar | None = None
        if bar and self.console.is_jupyter and not silent:
            self.bar, self.task = NotebookBar(unit, total, done), TaskID(0)
        elif bar and self.console.redraws and not silent:
            self.bar = terminal_bar = bar_of(unit, self.console)
            self.task = terminal_bar.add_task("", total=total, completed=done)

    def start(self) -> None:
        """Shows the bar."""
        if self.bar is not None:
            self.bar.start()

    def log(self, line: str) -> None:
        """Prints a line; in a notebook below the bar, if it is shown."""
        if isinstance(self.bar, NotebookBar) and self.bar.is_shown:
            self.bar.log(line)
        else:
            self.console.print(line)

    def show(self, result: Any, **options: Any) -> None:
        """Prints a result to stdout."""
        self.results.print(result, **options)

    def update(self, done: float, description: str, total: int | None = None) -> bool:
        """Moves the bar, or changes its total too; returns whether there is one."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=description, total=total)
        return self.bar is not None

    def waiting(self, task: str) -> AbstractContextManager[Any]:
        """Names on a terminal what is being waited for, for the time of the block."""
        return self.console.status(task) if self.console.redraws else nullcontext()

    def stop(self) -> None:
        """Closes the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    @property
    def seconds(self) -> float:
        """Seconds since the start, above 0."""
        return max(time.perf_counter() - self.started, 1e-9)
