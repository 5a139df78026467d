"""Ctrl-C and SIGTERM while features are computed: the batch is finished first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["asked_to_stop"]


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """For the time of the block notes that it was asked to stop; a second Ctrl-C stops at once."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for asking in (signal.SIGINT, signal.SIGTERM):
            handlers[asking] = signal.signal(asking, note)
    try:
        yield lambda: asked
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
