"""The scenarios: each draws its moment, and carries a case out."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..kill_processes import children
from .case import Case
from .injection import DAMAGES, Injection, damage
from .processes import Command
from .subjects import SUBJECTS

__all__ = ["SCENARIOS", "Scenario", "schedule"]

DAY, YEAR = 86_400.0, 365 * 86_400.0
HANG = 30.0  # seconds
WRITERS = (  # in such shares as their time allows
    "train", "embed-npy", "eval", "export", "shards", "train", "import", "embed-parquet", "train", "report",
    "embed-npy", "eval", "train", "export", "import", "bench", "report-again",
)  # fmt: skip
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


class Scenario(NamedTuple):
    """A kind of fault: which commands it happens to, how often among 200, and how it is carried out."""

    name: str
    subjects: tuple[str, ...]  # in turn
    times: int
    carry_out: Callable[[Case], None]


def _at(case: Case) -> int:
    return case.draw.randrange(len(case.reference.operations))


def _fault(case: Case, kind: str, at: int, number: int = 0, amount: float = 0.0, path: str = "") -> Injection:
    """Describes a fault in words, and returns it: of a suite as often in its worker as in the process that waits."""
    worker = case.subject.verb == "bench" and case.draw.random() < 0.5
    if worker:  # whose operations are those of a training, less some
        train = case.workshop.reference(SUBJECTS["train"])
        at = case.draw.randrange(len(train.operations) - 5)
        case.outcome.fault += f", in the worker, after {at} operations"
    else:
        case.outcome.fault += f" at: {case.reference.operations[at]}"
    return Injection(
        kind, str(case.folder), at, number, amount, module="ssl_zoo.suites.worker" * worker, path=path
    )


def full_disk(case: Case) -> None:
    """A file system of its own that runs full (as root on Linux), else files that cannot grow."""
    free = case.draw.randrange(4096, max(8192, case.reference.size))
    if not _may_mount():
        file_cannot_grow(case)
        return
    case.outcome.fault = f"{free // 1024} KiB free, tmpfs"
    with case.prepared(free):
        ended = case.run()
        if ended.status:
            case.expect_line(ended, 1, 2)
        case.expect_kept()
        case.enlarge_disk()
        case.finish()


def file_cannot_grow(case: Case) -> None:
    """RLIMIT_FSIZE from some operation on: the kernel refuses to write more."""
    amount = case.draw.choice((0, 100, 4096, 20_000))
    case.outcome.fault = f"no file beyond {amount} bytes"
    _suffer_error(case, _fault(case, "short", _at(case), amount=amount))


def disk_error(case: Case) -> None:
    """A full disk, a quota, a broken or read-only disk, or rights that are taken away."""
    number, at = case.draw.choice(ERRORS), _at(case)
    case.outcome.fault = errno.errorcode[number]
    _suffer_error(case, _fault(case, "error", at, number))


def _suffer_error(case: Case, fault: Injection) -> None:
    with case.prepared():
        ended = case.run(fault)
        if ended.status:
            case.expect_line(ended, 1, 2)
        case.expect_kept()
        case.expect_saved(fault.at)
        case.finish()


def killed(case: Case) -> None:
    """SIGKILL between two file operations."""
    case.outcome.fault = "SIGKILL"
    _suffer_kill(case, _fault(case, "kill", _at(case)))


def power_cut(case: Case) -> None:
    """SIGKILL, and what was not synchronised to the disk lacks its end."""
    share = case.draw.choice((0.0, 0.5))
    case.outcome.fault = f"power cut, {share:.0%} of files not synchronised are there"
    _suffer_kill(case, _fault(case, "power", _at(case), amount=share))


def _suffer_kill(case: Case, fault: Injection) -> None:
    with case.prepared():
        ended = case.run(fault)
        if ended.status >= 0 and not fault.module:
            case.outcome.unclear.append(f"exit status {ended.status} of a process that was to be killed")
        case.expect_kept()
        case.expect_saved(fault.at)
        case.finish()


def hang(case: Case) -> None:
    """A file system that answers after 30 s."""
    case.outcome.fault = f"hangs for {HANG:.0f} s"
    fault = _fault(case, "hang", _at(case), amount=HANG)
    if case.subject.name == "train-files":
        images, at = str(case.folder / "images"), case.draw.randrange(5000)
        fault = Injection("hang", images, at, amount=HANG, reads=True, children=True)
        case.outcome.fault = f"an image is read for {HANG:.0f} s by each loader worker"
    with case.prepared():
        _expect_done(case, fault)
        case.compare()


def _expect_done(case: Case, fault: Injection) -> None:
    ended = case.run(fault)
    if ended.status:
        case.outcome.lost.append(f"exit status {ended.status}")


def clock(case: Case) -> None:
    """The clock jumps while the command runs."""
    jump = case.draw.choice((-DAY, DAY, -YEAR, YEAR))
    case.outcome.fault = f"the clock jumps by {jump / DAY:+.0f} days"
    with case.prepared():
        _expect_done(case, _fault(case, "clock", _at(case), amount=jump))
        case.compare()


def clock_between(case: Case) -> None:
    """The command is killed, and goes on with another clock, its files from the future or the past."""
    jump, older = case.draw.choice((-DAY, -YEAR, YEAR)), case.draw.choice((-YEAR, YEAR))
    fault = _fault(case, "kill", _at(case))
    case.outcome.fault = (
        f"SIGKILL, then a clock at {jump / DAY:+.0f} days, file times at {older / DAY:+.0f} days"
    )
    with case.prepared():
        case.run(fault)
        for path in case.folder.rglob("*"):
            os.utime(path, (time.time() + older,) * 2)
        _expect_done(case, Injection("clock", str(case.folder), 0, amount=jump))
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


def vanished(case: Case) -> None:
    """What the command writes to is removed while it runs."""
    case.outcome.fault = "its folder is removed"
    folder = case.folder / "out" if case.subject.verb == "bench" else case.folder / "run"
    fault = _fault(case, "vanish", _at(case))._replace(folder=str(folder))
    with case.prepared():
        ended = case.run(fault)
        if ended.status:
            case.expect_line(ended, 1, 2)
        case.subject.prepare(case.folder, case.workshop.inputs)
        case.finish()


def _image(case: Case) -> str:
    return str(case.folder / "images" / f"{case.draw.randrange(10_000)}.png")


def corrupt_before(case: Case) -> None:
    """An image that is damaged before the start: it is named, and the run goes on when it is whole again."""
    path, number = _image(case), case.draw.randrange(len(DAMAGES) - 1)
    case.outcome.fault = f"an image is {DAMAGES[number]} before the start"
    with case.prepared():
        damage(path, number)
        _suffer_image(case, path, None)


def corrupt_later(case: Case) -> None:
    """An image that is damaged, vanishes or may not be read once the training has begun."""
    number, at = case.draw.randrange(len(DAMAGES) + 1), case.draw.randrange(13, 25)
    what = (*DAMAGES, "not to be opened")[number]
    case.outcome.fault = f"an image is {what} at: {case.reference.operations[at]}"
    path = _image(case)
    kind = "deny" if number == len(DAMAGES) else "damage"
    with case.prepared():
        named = os.path.join("images", os.path.basename(path)) if kind == "deny" else path
        _suffer_image(case, path, Injection(kind, str(case.folder / "run"), at, number, path=named))


def _suffer_image(case: Case, path: str, fault: Injection | None) -> None:
    ended = case.run(fault)
    if ended.status:
        case.expect_line(ended, 2)
        if os.path.basename(path) not in ended.line and "put back" not in ended.line:
            case.outcome.unclear.append("the image is not named")
    Path(path).unlink(missing_ok=True)
    os.link(case.workshop.inputs / "images" / os.path.basename(path), path)
    case.finish()


def skipped(case: Case) -> None:
    """The same with data.on_error=skip: the run ends; one that is killed goes on when the image is whole again."""
    number, at = case.draw.randrange(len(DAMAGES)), case.draw.randrange(20, 60)
    killed = case.draw.random() < 0.5
    case.outcome.fault = f"an image is {DAMAGES[number]}, on_error=skip, {'and SIGKILL ' * killed}at: "
    case.outcome.fault += case.reference.operations[at]
    path = _image(case)
    with case.prepared():
        if not killed:
            _expect_done(case, Injection("damage", str(case.folder / "run"), at, number, path=path))
            return
        case.start(Injection("kill", str(case.folder / "run"), at)).wait()
        damage(path, number)
        _suffer_image(case, path, None)


def worker_killed(case: Case) -> None:
    """A loader worker that is killed."""
    at = case.draw.randrange(4000)
    case.outcome.fault = f"SIGKILL of a loader worker at its image {at}"
    with case.prepared():
        images = str(case.folder / "images")
        ended = case.run(Injection("kill", images, at, reads=True, children=True))
        if ended.status:
            case.expect_line(ended, 1)
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
        chosen = case.draw.sample(children(command.pid), number)
        for pid in chosen:
            os.kill(pid, what)
        if what == signal.SIGSTOP:
            time.sleep(HANG)
            for pid in chosen:
                os.kill(pid, signal.SIGCONT)
        ended = case.note(command.wait())
        if ended.status:
            case.expect_line(ended, 1)
        elif what == signal.SIGKILL:
            case.outcome.unclear.append("exit status 0")
        if what == signal.SIGSTOP and ended.status:
            case.outcome.lost.append(f"exit status {ended.status}")
        case.finish()


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("disk full", WRITERS, 34, full_disk),
        Scenario("file cannot grow", WRITERS, 21, file_cannot_grow),
        Scenario("disk error", WRITERS, 33, disk_error),
        Scenario("killed", WRITERS, 24, killed),
        Scenario("power cut", WRITERS, 28, power_cut),
        Scenario("file system hangs", ("train", "embed-npy", "train-files", "export"), 4, hang),
        Scenario("clock jumps", ("train", "eval", "embed-parquet"), 6, clock),
        Scenario("clock between starts", ("train", "embed-npy"), 8, clock_between),
        Scenario("twice at once", WRITERS, 12, at_once),
        Scenario("read while it trains", ("train",), 6, reported),
        Scenario("folder removed", ("train", "eval", "export", "train", "eval", "bench"), 6, vanished),
        Scenario("image damaged before", ("train-files",), 2, corrupt_before),
        Scenario("image damaged later", ("train-files",), 4, corrupt_later),
        Scenario("image skipped", ("train-skip",), 2, skipped),
        Scenario("loader worker killed", ("train-files",), 2, worker_killed),
        Scenario("process killed", ("train-four", "train-four", "train-two"), 6, process_killed),
        Scenario("process hangs", ("train-four",), 2, process_hangs),
    )
}


def schedule(number: int, seed: int) -> list[tuple[str, str]]:
    """Returns the scenario and the subject of each of so many faults, in the order in which they are tried."""
    pairs: list[tuple[str, str]] = []
    for scenario in SCENARIOS.values():
        start = random.Random(f"{seed} {scenario.name}").randrange(len(scenario.subjects))
        turns = (scenario.subjects[(start + turn) % len(scenario.subjects)] for turn in range(scenario.times))
        pairs += [(scenario.name, subject) for subject in turns]
    pairs = [pairs[index % len(pairs)] for index in range(max(number, len(pairs)))]
    random.Random(seed).shuffle(pairs)
    return pairs[:number]


def _may_mount() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None
