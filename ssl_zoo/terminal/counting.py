"""Progress before a verb knows how much there is to do: a count, in one line on a terminal, elsewhere a line at times.

What counts is deep below the verb that knows whether progress is wanted, so that this is passed by a context variable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from ssl_zoo.terminal.console import Console

__all__ = ["counting", "note", "showing_counts"]

FIRST_SECONDS = 0.8  # from the start to the first line where there is no terminal
LINE_SECONDS = 10.0  # between two lines there
REFRESH_SECONDS = 0.1  # between two counts on a terminal

_SHOWN: ContextVar[bool] = ContextVar("counts are shown", default=False)


@contextmanager
def showing_counts(shown: bool) -> Iterator[None]:
    """Prints the counts of what is called in the block, or doesn't."""
    token = _SHOWN.set(shown)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def note(line: str) -> None:
    """Prints a line, where counts are shown."""
    Console(quiet=not _SHOWN.get(), stderr=True).print(line)


@contextmanager
def counting(line: str) -> Iterator[Callable[[int], None]]:
    """Yields a function that is told how many more are done.

    What takes less than a second prints nothing, but on a terminal.

    Args:
        line: what is done, with a place for the number: "scanned {:,} files".
    """
    if not _SHOWN.get():
        yield lambda more: None
        return
    console, started = Console(stderr=True), time.perf_counter()
    done, printed = 0, False
    due = started if console.redraws else started + FIRST_SECONDS
    with ExitStack() as stack:
        status = stack.enter_context(console.status(line.format(0))) if console.redraws else None

        def count(more: int) -> None:
            nonlocal done, printed, due
            done += more
            if not more or (now := time.perf_counter()) < due:
                return
            if status is not None:
                status.update(line.format(done))
                due = now + REFRESH_SECONDS
            else:
                console.print(line.format(done))
                printed, due = True, now + LINE_SECONDS

        yield count
    if printed:
        console.print(f"{line.format(done)} in {time.perf_counter() - started:.0f} s")
