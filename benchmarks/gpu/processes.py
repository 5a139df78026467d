"""Processes with a time limit: each in its own group that is ended as a whole, several at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["SHORT", "CommandOutcome", "CommandTask", "run_together"]

Figures = dict[str, Any]
GRACE = 8.0  # seconds that a process has to save after SIGTERM, before it is killed
SHORT = 20.0  # seconds before the end in which nothing is started
TAIL = 3000  # characters of a process's output that are kept


@dataclass(frozen=True)
class CommandTask:
    """Command, and how its figures are read once it has ended, for whatever reason."""

    name: str
    command: Sequence[str]
    limit: float  # seconds
    figures: Callable[[str], Figures] = lambda printed: {}  # is given the end of the output


@dataclass(frozen=True)
class CommandOutcome:
    """Outcome of a task, or why it was not started."""

    name: str
    status: str  # done; failed (3); ended at its limit; not started: …
    seconds: float = 0.0
    command: Sequence[str] = ()
    figures: Figures = field(default_factory=dict)
    printed: str = ""  # end of the output


class _Process:
    def __init__(self, task: CommandTask, log: Path, env: Mapping[str, str], deadline: float) -> None:
        self.task, self.log = task, log
        self.began = time.monotonic()
        self.limit = min(self.began + task.limit, deadline)
        self.asked: float | None = None  # when it was asked to end
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                task.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,
            )

    def over(self) -> bool:
        """Returns whether it has ended; at its limit sends SIGTERM, later SIGKILL."""
        if self.process.poll() is not None:
            return True
        now = time.monotonic()
        if self.asked is None and now > self.limit:
            self.asked = now
            self.send(signal.SIGTERM)
        elif self.asked is not None and now - self.asked > GRACE:
            self.send(signal.SIGKILL)
        return False

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self) -> CommandOutcome:
        seconds = time.monotonic() - self.began
        if self.process.returncode is None:
            self.send(signal.SIGKILL)
            self.process.wait()
        else:
            self.send(signal.SIGKILL)  # its remaining children
        printed = self.log.read_text(errors="replace", encoding="utf-8")[-TAIL:]
        status = "done" if self.process.returncode == 0 else f"failed ({self.process.returncode})"
        if self.asked is not None:
            status = "ended at its limit"
        try:
            figures = self.task.figures(printed)
        except (OSError, ValueError, LookupError, TypeError) as error:  # a file is not there, or not whole
            figures = {}
            status += "" if status != "done" else f", but its results cannot be read: {error!r}"
        return CommandOutcome(self.task.name, status, seconds, self.task.command, figures, printed)


def run_together(
    tasks: Sequence[CommandTask],
    folder: Path,
    note: Callable[[CommandOutcome], None],
    *,
    deadline: float,
    at_once: int = 1,
    threads: int | None = None,
) -> None:
    """Runs tasks, `at_once` at a time, and notes each outcome.

    Args:
        tasks: in the order in which they start.
        folder: gets a file of each one's output.
        note: is given the outcomes.
        deadline: on the clock of `time.monotonic`, a limit to all; nothing is started within SHORT seconds of it.
        at_once: how many run at a time.
        threads: of the numerical libraries of each; their own choice if None.
    """
    env = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    waiting, running = list(tasks), list[_Process]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                task = waiting.pop(0)
                if time.monotonic() > deadline - SHORT:
                    note(CommandOutcome(task.name, "not started: no time is left", command=task.command))
                    continue
                log = folder / f"{task.name.replace(' ', '-')}.log"
                running.append(_Process(task, log, env, deadline))
            for process in [process for process in running if process.over()]:
                running.remove(process)
                note(process.end())
            time.sleep(0.05)
    finally:
        for process in running:
            process.end()
