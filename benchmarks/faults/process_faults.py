"""Clocks that jump, two commands in one folder, processes of a training that are killed or stand still."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from pathlib import Path

from ..kill_processes import children
from .case import Case
from .injection import Injection
from .moments import HANG, expect_done, fault_at, moment
from .processes import Command

__all__ = ["at_once", "clock", "clock_between", "process_hangs", "process_killed", "reported"]

DAY, YEAR = 86_400.0, 365 * 86_400.0


def clock(case: Case) -> None:
    """The clock jumps while the command runs."""
    jump = case.draw.choice((-DAY, DAY, -YEAR, YEAR))
    case.outcome.fault = f"the clock jumps by {jump / DAY:+.0f} days"
    with case.prepared():
        expect_done(case, fault_at(case, "clock", moment(case), amount=jump))
        case.compare()


def clock_between(case: Case) -> None:
    """The command is killed, and goes on with another clock, its files from the future or the past."""
    jump, older = case.draw.choice((-DAY, -YEAR, YEAR)), case.draw.choice((-YEAR, YEAR))
    fault = fault_at(case, "kill", moment(case))
    case.outcome.fault = (
        f"SIGKILL, then a clock at {jump / DAY:+.0f} days, file times at {older / DAY:+.0f} days"
    )
    with case.prepared():
        case.run(fault)
        for path in case.folder.rglob("*"):
            os.utime(path, (time.time() + older,) * 2)
        expect_done(case, Injection("clock", str(case.folder), 0, amount=jump))
        case.outcome.again = case.outcome.line or "done"
        case.compare()


def at_once(case: Case) -> None:
    """The same command twice in one folder."""
    delay = case.draw.uniform(0, case.reference.seconds)
    locks = case.draw.random() < 0.7
    case.outcome.fault = f"a second start after {delay:.1f} s" + (", no locks" * (not locks))
    with case.prepared():
        before = None if locks else _no_locks
        first = case.start(before=before)
        time.sleep(delay)
        second = case.start(before=before).wait()
        ended = first.wait()
        for each in (ended, second):
            if each.status:
                case.note(each)
                case.expect_line(each, 1, 2)
        if ended.status and second.status:
            case.outcome.lost.append(f"neither ends well; the other: {ended.line}")
        case.finish()


def _no_locks() -> None:
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = refuse


def reported(case: Case) -> None:
    """A report, an evaluation, an export or an embedding of a run that is under way."""
    delay = case.draw.uniform(0, case.reference.seconds)
    verb = case.draw.choice(("report", "eval", "export", "embed"))
    words = {"eval": ["protocol=knn"], "export": ["format=timm"], "embed": [f"out={case.folder / 'x.npy'}"]}
    case.outcome.fault = f"{verb} of the run after {delay:.1f} s"
    with case.prepared():
        first = case.start()
        time.sleep(delay)
        second = case.note(
            Command([verb, f"run={case.folder / 'run'}", *words.get(verb, [])], case.folder).wait()
        )
        if second.status:
            case.expect_line(second, 2)
        if (status := first.wait().status) != 0:
            case.outcome.lost.append(f"the run ends with status {status}")
        for path in (case.folder / "run/report", case.folder / "run/export", *case.folder.glob("x.*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in (case.folder / "run").glob("eval-*.json"):
            path.unlink()
        case.finish()


def process_killed(case: Case) -> None:
    """One or two processes of a training are killed; the others have to end, with a message."""
    _suffer_processes(case, case.draw.choice((1, 2)) if case.subject.ranks > 1 else 1, signal.SIGKILL)


def process_hangs(case: Case) -> None:
    """A process of a training stands still for 30 s, as on a node that swaps: the others wait for it."""
    _suffer_processes(case, 1, signal.SIGSTOP)


def _suffer_processes(case: Case, number: int, what: signal.Signals) -> None:
    delay = case.draw.uniform(0.1, 0.9) * case.reference.seconds
    case.outcome.fault = (
        f"{what.name} of {number} of {max(2, case.subject.ranks)} processes after {delay:.1f} s"
    )
    with case.prepared():
        command = case.start()
        time.sleep(delay)
        there = _processes(command, number)
        chosen = case.draw.sample(there, min(number, len(there)))
        for pid in chosen:
            os.kill(pid, what)
        if what == signal.SIGSTOP:
            time.sleep(HANG)
            for pid in chosen:
                os.kill(pid, signal.SIGCONT)
        ended = case.note(command.wait())
        if ended.status:
            case.expect_line(ended, 1)
        elif what == signal.SIGKILL and not (case.folder / "run/result.json").exists():
            case.outcome.unclear.append("exit status 0")  # with a result it had ended before it was killed
        if what == signal.SIGSTOP and ended.status:
            case.outcome.lost.append(f"exit status {ended.status}")
        case.finish()


def _processes(command: Command, number: int) -> list[int]:
    """Waits until a training has started so many further processes, or has ended before they could suffer."""
    stat = Path(f"/proc/{command.pid}/stat")
    while (
        len(found := children(command.pid)) < number
        and stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    ):
        time.sleep(0.02)
    return found
