"""Ctrl-C, and SIGTERM by which schedulers stop a process: what was begun is ended in order, with a message."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest", "handlers_restored", "sigterm_interrupts"]


class StopRequest:
    """Notes Ctrl-C and SIGTERM between `listen` and `close`, so that a loop ends when its work is saved.

    A second Ctrl-C interrupts at once. Only the main thread receives signals: in others nothing is noted.

    Attributes:
        asked: whether the process was asked to stop.
    """

    def __init__(self) -> None:
        self.asked = False
        self._handlers: dict[int, Any] = {}  # those before

    def listen(self) -> None:
        """Takes the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self.note)

    def close(self) -> None:
        """Gives the signals back to the handlers before."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> StopRequest:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Gives Ctrl-C and SIGTERM back, after the block, to the handlers before it.

    Lightning adds a handler that holds its trainer, and a `StopRequest` that is closed after Lightning has gone would
    put it back: each training in a process would keep the one before it, weights and all.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Makes SIGTERM a KeyboardInterrupt for the time of the block, in the main thread; loops have `StopRequest`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
