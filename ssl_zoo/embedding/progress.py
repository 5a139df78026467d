"""How far an embedding is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.progress import Progress

from ssl_zoo.terminal.console import Console
from ssl_zoo.training.screen import bar_of

__all__ = ["Teller"]

LINE_SECONDS = 30.0  # between two lines where there is no terminal


class Teller:
    """Tells how far it is.

    Args:
        total: images.
        done: of them, by an earlier start.
        silent: say nothing at all.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, total: int, done: int, *, silent: bool = False, bar: bool = True) -> None:
        self.console = Console(quiet=silent)
        self.total, self.done, self.before = total, done, done
        self.started = self.spoken = time.perf_counter()
        self.bar: Progress | None = None
        if bar and self.console.is_terminal and not silent:
            self.bar = bar_of("images", self.console)
            self.task = self.bar.add_task("", total=total, completed=done)
            self.bar.start()

    def note(self, line: str) -> None:
        """Prints a line of its own."""
        self.console.print(line)

    def advance(self, images: int) -> None:
        """Tells of more images that are done."""
        self.done += images
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, description=f"{self.rate:.0f} images/s")
            return
        now = time.perf_counter()
        if now - self.spoken >= LINE_SECONDS:
            self.spoken = now
            left = (self.total - self.done) / self.rate
            self.note(f"{self.done}/{self.total} images · {self.rate:.0f} images/s · {left:.0f} s left")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return max(time.perf_counter() - self.started, 1e-9)

    @property
    def rate(self) -> float:
        """Images per second of this start."""
        return max(self.done - self.before, 1) / self.seconds

    def stop(self) -> None:
        """Closes the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
