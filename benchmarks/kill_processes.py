"""Starts trainings, follows what they are at, and ends them with SIGKILL at a chosen moment. Needs Linux.

A run tells through a pipe when it has begun, done a step, begins to save and has saved; nothing else of it is
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

__all__ = ["Start", "Work", "adopt", "start", "told", "with_partners"]

Work = Callable[[], int]  # what a process does; its exit status
BECOME_SUBREAPER, DIE_WITH_PARENT = 36, 1  # of prctl


class Start(NamedTuple):
    """One start of a run, over."""

    moments: list[tuple[str, float]]  # what it said, "saving 6", and when, in seconds; the last is its end
    status: int  # of the first process; negative: the signal that ended it
    killed: int | None  # which process was killed, 0 the first
    left: int  # processes that had to be ended after it

    @property
    def said(self) -> list[str]:
        """What it said, but for its end."""
        return [line for line, _ in self.moments[:-1]]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.moments[-1][1] - self.moments[0][1]

    def last(self, what: str, otherwise: int = 0) -> int:
        """The optimizer step that it last said this of."""
        steps = [int(line.split()[1]) for line in self.said if line.startswith(f"{what} ")]
        return max(steps, default=otherwise)


def adopt() -> None:
    """Makes this process the parent of what its children leave behind, so that `start` sees it."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)


def start(
    work: Work | str,
    log: Path,
    kill: tuple[str, float] | None = None,
    draw: random.Random | None = None,
    *,
    halt: bool = False,
) -> Start:
    """Starts a run and waits for its end.

    Args:
        work: what a fork does, or a line of Python for a new interpreter, with `{pipe}` for `told`.
        log: file that gets what it prints.
        kill: a moment, and how many seconds after it a process is killed.
        draw: draws which one, of the first and those that it has started; None: the first.
        halt: whether the run waits for its kill at that moment, whatever the seconds; for a fork.
    """
    end, pipe = os.pipe()
    last = kill[0] if kill is not None and halt else None
    pid = _fork(work, log, pipe, end, last) if callable(work) else _interpreter(work, log, pipe)
    os.close(pipe)
    signal.alarm(600)  # a run that hangs ends this process as well
    killed = None
    moments: list[tuple[str, float]] = []
    with os.fdopen(end) as said:
        for line in itertools.chain(["started"], said):  # until nobody is left who could say anything
            moments.append((line.strip(), time.perf_counter()))
            if kill is not None and kill[0] == line.strip() and killed is None:
                time.sleep(0 if halt else kill[1])
                processes = [pid] if draw is None else [pid, *_children(pid)]
                killed = 0 if draw is None else draw.randrange(len(processes))
                os.kill(processes[killed], signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    moments.append(("ended", time.perf_counter()))
    left = _end_the_rest()
    signal.alarm(0)
    return Start(moments, os.waitstatus_to_exitcode(status), killed, left)


def _fork(work: Work, log: Path, pipe: int, end: int, last: str | None) -> int:
    pid = os.fork()
    if pid == 0:
        os.close(end)
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        told(work, pipe, last)
    return pid


def _interpreter(line: str, log: Path, pipe: int) -> int:
    command = [sys.executable, "-c", line.format(pipe=pipe)]
    with log.open("ab") as file:
        return subprocess.Popen(
            command, pass_fds=[pipe], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        ).pid


def told(work: Work, pipe: int, last: str | None = None) -> NoReturn:
    """Does the work in this process, whose training tells a pipe what it is at, and ends the process.

    Args:
        work: what to do.
        pipe: gets a line for each moment.
        last: a line after which the training waits to be killed; None: it goes on to its end.
    """
    from ssl_zoo.distributed import rank
    from ssl_zoo.training.callbacks import EpochRows, SaveCheckpoints

    def tell(what: str | None, trainer: Any) -> None:
        if what is not None and rank() == 0:
            line = f"{what} {trainer.global_step}"
            os.write(pipe, f"{line}\n".encode())
            while line == last:
                signal.pause()

    def telling(callback: type[Any], name: str, before: str | None, after: str | None) -> None:
        inner = getattr(callback, name)

        def method(self: Any, trainer: Any, *rest: Any) -> None:
            tell(before, trainer)
            inner(self, trainer, *rest)
            tell(after, trainer)

        setattr(callback, name, method)

    telling(EpochRows, "on_train_start", None, "begun")
    telling(EpochRows, "on_train_batch_end", "step", None)
    telling(SaveCheckpoints, "save", "saving", "saved")
    status = 1
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def with_partners(number: int) -> None:
    """Forks the other processes of a run and tells each what torchrun would; they die with the first."""
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


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):  # no process, or one that has ended
            continue
        if parent == pid and folder.name.isdigit():
            found.append(int(folder.name))
    return sorted(found)


def _end_the_rest(seconds: float = 60) -> int:
    """Waits for all that a run left behind to end by itself; ends what did not, and says how many."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return 0
    left = _children(os.getpid())
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(left)
