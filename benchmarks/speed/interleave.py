"""Runs contenders in turns, A B C A B C …; the others are stopped, with their worker processes."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError

from .memory import group_memory
from .pause import Order

__all__ = ["Contender", "ContenderFailed", "available_cores", "take_turns"]

Report = dict[str, Any]
TAIL = 3000  # characters of a failed contender's output that are shown


class ContenderFailed(RuntimeError):
    """A contender ended by itself; the message holds the end of its output."""


class Contender:
    """Child process that pauses between steps (see `pause`), in its own process group.

    Args:
        name: its name in the report.
        command: starts it; the number of its end of the pipe is appended.
        log: file for its output.
        cores: the CPU cores that it may use, its workers too, where the system can pin them; its numerical
            libraries start as many threads.
    """

    def __init__(self, name: str, command: Sequence[str], *, log: Path, cores: Sequence[int]) -> None:
        self.name = name
        self._log = log
        self._connection, theirs = multiprocessing.Pipe()
        variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        threads = dict.fromkeys(variables, str(len(cores)))
        self.started = time.monotonic()
        with log.open("wb") as output, _pinned(cores):
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **threads},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        theirs.close()
        self.workers_mb = 0.0  # peak
        self.peak_mb: float | None = None

    def ready(self) -> Report:
        """Waits until it has begun; returns its first report."""
        return self._receive()

    def turn(self, order: Order) -> Report:
        """Lets it compute one turn, and stops it afterwards."""
        return self._resumed(order._asdict())

    def ask(self, question: str) -> Report:
        """Asks it a question that it has a function for, and stops it afterwards."""
        return self._resumed({"ask": question})

    def close(self) -> None:
        """Ends it with all its processes."""
        if self._process.returncode is None:  # else the number may be another's by now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # ends stopped processes as well
            self._process.wait()
        self._connection.close()

    def _resumed(self, message: Mapping[str, Any]) -> Report:
        group = self._process.pid
        os.killpg(group, signal.SIGCONT)
        self._connection.send_bytes(json.dumps(message).encode())
        report = self._receive()
        os.killpg(group, signal.SIGSTOP)
        memory = group_memory(group)
        if memory is not None:
            self.peak_mb, self.workers_mb = memory.peak, max(self.workers_mb, memory.workers)
        return report

    def _receive(self) -> Report:
        try:
            while not self._connection.poll(0.2):
                if self._process.poll() is not None:
                    raise EOFError
            report: Report = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            status, printed = (
                self._process.returncode,
                self._log.read_text(errors="replace", encoding="utf-8")[-TAIL:],
            )
            raise ContenderFailed(f"{self.name} ended with status {status}:\n{printed}") from error
        return report


def take_turns(contenders: Sequence[Contender], order: Order, rounds: int) -> dict[str, list[Report]]:
    """Returns the reports of each contender, one per round."""
    reports: dict[str, list[Report]] = {contender.name: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            reports[contender.name].append(contender.turn(order))
    return reports


def available_cores(threads: int | None) -> list[int]:
    """Returns the first `threads` of the cores that this process may use; all if None.

    Raises:
        UserError: there are not so many, or this system cannot stop processes.
    """
    if os.name != "posix":
        raise UserError(f"contenders are stopped by POSIX signals; received {os.name}; use Linux or macOS")
    pinnable = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if pinnable else list(range(os.cpu_count() or 1))
    if threads is not None and not 1 <= threads <= len(cores):
        raise UserError(f"--threads must be from 1 to the number of cores, {len(cores)}; received {threads}")
    return cores[:threads]


@contextlib.contextmanager
def _pinned(cores: Sequence[int]) -> Iterator[None]:
    """Makes processes started within inherit these cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
