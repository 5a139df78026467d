"""Pauses a contender between two steps, and nowhere else.

A contender calls `begin` before its first step and `step` after each. When a turn is over the gate reports how long it
took and waits for the next order. Nothing heavy is imported here, so that what a contender imports can be timed.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

__all__ = ["Clock", "Gate", "Order", "die_with_parent", "pipe_exchange"]

Report = dict[str, Any]
Exchange = Callable[[Report], "Order | None"]


class Order(NamedTuple):
    """Length of a turn: untimed steps, then at least `steps` timed ones for at least `least` seconds."""

    untimed: int = 1
    steps: int = 4
    least: float = 0.0
    most: float = float("inf")  # seconds after which the turn ends, however few its steps were


class Clock(Protocol):
    """Measures the parts of a turn."""

    def reset(self) -> None:
        """Starts again from zero."""

    def read(self) -> dict[str, float]:
        """Returns the seconds of each part since `reset`."""


class Gate:
    """Counts and times the steps of a contender.

    Args:
        exchange: sends a report and returns the next order, or None to end. The first report has the time at which the
            contender was ready, `{"begun": seconds}`; each later one `steps`, `began` and `ended`, on the clock of
            `time.monotonic`, which all processes of a machine share, and `parts` where there is a clock for them.
        clock: measures the parts of a turn.
        synchronize: waits for a device before the time is read at both ends of a turn.
    """

    def __init__(
        self, exchange: Exchange, clock: Clock | None = None, synchronize: Callable[[], None] | None = None
    ) -> None:
        self._exchange, self.clock = exchange, clock
        self.synchronize = synchronize or (lambda: None)  # set later where the device is known later
        self._order: Order | None = None
        self._done = 0
        self._began = self._ordered = 0.0
        self.begun = False

    def begin(self) -> bool:
        """Waits before the first step; returns whether it should start."""
        self.begun = True
        return self._take(self._exchange({"begun": time.monotonic()}))

    def step(self) -> bool:
        """Counts a step; returns whether there should be another."""
        order = self._order
        assert order is not None, "begin() comes first, and nothing after the end"
        self._done += 1
        timed = self._done - order.untimed
        if timed < 0 and time.monotonic() - self._ordered < order.most:
            return True
        if timed <= 0:
            self._done, timed = order.untimed, 0
            self._start()
        elapsed = time.monotonic() - self._began
        if (timed < order.steps or elapsed < order.least) and elapsed < order.most:
            return True
        self.synchronize()
        report: Report = {"steps": timed, "began": self._began, "ended": time.monotonic()}
        if self.clock is not None:
            report["parts"] = self.clock.read()
        return self._take(self._exchange(report))

    def _take(self, order: Order | None) -> bool:
        self._order, self._done = order, 0
        self._ordered = time.monotonic()
        if order is not None and order.untimed == 0:
            self._start()
        return order is not None

    def _start(self) -> None:
        self.synchronize()
        if self.clock is not None:
            self.clock.reset()
        self._began = time.monotonic()


def pipe_exchange(fd: int, extra: Callable[[], Report], answers: dict[str, Callable[[], Report]]) -> Exchange:
    """Returns the other end of `interleave.Contender`: it sends reports and receives orders, as lines of JSON.

    Args:
        fd: of the pipe.
        extra: returns further entries of each report.
        answers: functions that answer questions between two turns, by name.
    """
    connection: Connection[Any, Any] = Connection(fd)

    def exchange(report: Report) -> Order | None:
        connection.send_bytes(json.dumps({**report, **extra()}).encode())
        while True:
            message = json.loads(connection.recv_bytes())
            if "ask" not in message:
                return None if message.get("end") else Order(**message)
            connection.send_bytes(json.dumps(answers[message["ask"]]()).encode())

    return exchange


def die_with_parent() -> None:
    """Ends this process with its parent, on Linux: a stopped contender would outlive a killed `compare` for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
