"""Ctrl-C, and SIGTERM and SIGUSR1 by which schedulers stop a process: it ends in order, with a message."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = [
    "SCHEDULER",
    "StopRequest",
    "Stopped",
    "end_with_parent",
    "handlers_restored",
    "ignored",
    "signals_interrupt",
    "stop_this_process",
]

SCHEDULER = [
    signal.SIGTERM,
    *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else []),
]  # Windows has no SIGUSR1


class Stopped(KeyboardInterrupt):
    """A scheduler's signal, where no loop takes note of it.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class StopRequest:
    """Notes Ctrl-C and a scheduler's signals between `listen` and `close`, so that a loop ends when its work is saved.

    A second Ctrl-C interrupts at once. Only the main thread receives signals: in others nothing is noted.

    Attributes:
        asked: whether the process was asked to stop.
        number: of the first signal of a scheduler; 0 where there was none, as with Ctrl-C.
    """

    def __init__(self) -> None:
        self.asked, self.number = False, 0
        self._handlers: dict[int, Any] = {}  # those before
        self._process = os.getpid()

    def listen(self) -> None:
        """Takes the signals over."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *SCHEDULER):
                self._handlers[number] = signal.signal(number, self.note)

    def close(self) -> None:
        """Gives the signals back to the handlers before."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        if os.getpid() != self._process and number in SCHEDULER:
            _end_quietly(number)
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        if number in SCHEDULER and not self.number:
            self.number = number

    def __enter__(self) -> StopRequest:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Gives the signals back, after the block, to the handlers before it.

    Lightning adds a handler that holds its trainer, and a `StopRequest` that is closed after Lightning has gone would
    put it back: each training in a process would keep the one before it, weights and all.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SCHEDULER)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Makes a scheduler's signals a KeyboardInterrupt for the time of the block; loops have `StopRequest`."""

    process = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            _end_quietly(number)
        raise Stopped(number)

    with _handled(interrupt):
        yield


def _end_quietly(number: int) -> None:
    """Ends a process that was forked from this one and has not set handlers of its own yet, as without ours.

    A DataLoader ends its workers by SIGTERM; one that is just starting would print a traceback.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@contextmanager
def ignored() -> Iterator[None]:
    """Ignores a scheduler's signals for the time of the block, in processes that it starts as well."""
    with _handled(signal.SIG_IGN):
        yield


@contextmanager
def _handled(handler: Any) -> Iterator[None]:
    """Sets a handler for the time of the block, in the main thread; in others it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SCHEDULER}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def stop_this_process() -> None:
    """Has the handler of SIGTERM run in the main thread; to be called from another one."""
    if os.name == "nt":  # os.kill would end the process at once
        signal.raise_signal(signal.SIGTERM)
    else:  # to the process: a system call of the main thread is left for it
        os.kill(os.getpid(), signal.SIGTERM)


def end_with_parent() -> None:
    """Ends this process, one of multiprocessing's, as soon as the one that started it is gone, killed for instance.

    At once, from a thread: a signal would wait until native code returns, a collective of torch for minutes.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
