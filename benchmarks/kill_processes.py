"""Starts trainings, follows their events, and ends them with SIGKILL at a chosen one. Needs Linux.

A run reports its events through a pipe: it has begun, done a step, begins to save, has saved. Nothing else of it is
changed. Most are forked from a process that has imported everything and computed nothing, which saves seconds.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

__all__ = ["Action", "Start", "adopt", "children", "fork_ranks", "report_events", "start"]

Action = Callable[[], int]  # of a process; returns the exit status
BECOME_SUBREAPER, DIE_WITH_PARENT = 36, 1  # of prctl


class Start(NamedTuple):
    """Record of a start of a run that has ended."""

    moments: list[tuple[str, float]]  # events such as "saving 6" with their seconds; the last is the end
    status: int  # of the first process; negative: the signal that ended it
    killed: int | None  # rank of the killed process
    left: int  # processes that had to be ended after it

    @property
    def events(self) -> list[str]:
        """Events without the end."""
        return [line for line, _ in self.moments[:-1]]

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.moments[-1][1] - self.moments[0][1]

    def last(self, what: str, otherwise: int = 0) -> int:
        """Returns the last optimizer step of an event."""
        steps = [int(line.split()[1]) for line in self.events if line.startswith(f"{what} ")]
        return max(steps, default=otherwise)


def adopt() -> None:
    """Makes this process the parent of its children's orphans, so that `start` finds them."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)


def start(
    action: Action | str,
    log: Path,
    kill: tuple[str, float] | None = None,
    draw: random.Random | None = None,
    *,
    halt: bool = False,
) -> Start:
    """Starts a run and waits for its end.

    Args:
        action: of a fork, or a line of Python for a new interpreter, with `{pipe}` for `report_events`.
        log: file for its output.
        kill: an event, and the seconds after it at which a process is killed.
        draw: draws the process, of the first and those that it has started; None: the first.
        halt: whether the run waits for its kill at that event, whatever the seconds; for a fork.
    """
    end, pipe = os.pipe()
    last = kill[0] if kill is not None and halt else None
    pid = _fork(action, log, pipe, end, last) if callable(action) else _interpreter(action, log, pipe)
    os.close(pipe)
    signal.alarm(600)  # a run that hangs ends this process as well
    killed = None
    moments: list[tuple[str, float]] = []
    with os.fdopen(end) as events:
        for line in itertools.chain(["started"], events):  # until no process has the pipe open
            moments.append((line.strip(), time.perf_counter()))
            if kill is not None and kill[0] == line.strip() and killed is None:
                time.sleep(0 if halt else kill[1])
                processes = [pid] if draw is None else [pid, *children(pid)]
                killed = 0 if draw is None else draw.randrange(len(processes))
                os.kill(processes[killed], signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    moments.append(("ended", time.perf_counter()))
    left = _end_orphans()
    signal.alarm(0)
    return Start(moments, os.waitstatus_to_exitcode(status), killed, left)


def _fork(action: Action, log: Path, pipe: int, end: int, last: str | None) -> int:
    pid = os.fork()
    if pid == 0:
        os.close(end)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        report_events(action, pipe, last)
    return pid


def _interpreter(line: str, log: Path, pipe: int) -> int:
    command = [sys.executable, "-c", line.format(pipe=pipe)]
    with log.open("ab") as file:
        return subprocess.Popen(
            command, pass_fds=[pipe], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ).pid


def report_events(action: Action, pipe: int, last: str | None = None) -> NoReturn:
    """Runs an action in this process, writes the events of its training to a pipe, and ends the process.

    Args:
        action: trains.
        pipe: gets a line for each event.
        last: an event after which the training waits to be killed; None: it goes on to its end.
    """
    from ssl_zoo.distributed import rank
    from ssl_zoo.training.callbacks import EpochRows
    from ssl_zoo.training.saving import SaveCheckpoints

    def report(what: str | None, trainer: Any) -> None:
        if what is not None and rank() == 0:
            line = f"{what} {trainer.global_step}"
            os.write(pipe, f"{line}\n".encode())
            while line == last:
                signal.pause()

    def wrap(callback: type[Any], name: str, before: str | None, after: str | None) -> None:
        inner = getattr(callback, name)

        def method(self: Any, trainer: Any, *rest: Any) -> None:
            report(before, trainer)
            inner(self, trainer, *rest)
            report(after, trainer)

        setattr(callback, name, method)

    wrap(EpochRows, "on_train_start", None, "begun")
    wrap(EpochRows, "on_train_batch_end", "step", None)
    wrap(SaveCheckpoints, "save", "saving", "saved")
    status = 1
    try:
        status = action()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def fork_ranks(number: int) -> None:
    """Forks the other processes of a run, with the environment that torchrun sets; they die with the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(number), RANK="0")
    os.environ.update(TORCHELASTIC_RUN_ID="none", GROUP_RANK="0", LOCAL_WORLD_SIZE=str(number))
    for rank in range(1, number):
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            os.environ["RANK"] = str(rank)
            break
    os.environ["LOCAL_RANK"] = os.environ["RANK"]


def children(pid: int) -> list[int]:
    """Returns the processes that one has started, without their own."""
    children = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):  # no process, or one that has ended
            continue
        if parent == pid and folder.name.isdigit():
            children.append(int(folder.name))
    return sorted(children)


def _end_orphans(seconds: float = 60) -> int:
    """Waits until all orphans of a run have ended; kills the others and returns their number."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return 0
    left = children(os.getpid())
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(left)
