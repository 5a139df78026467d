"""One fault: the command that suffers it, the same command afterwards, and what was lost."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..kill_processes import fork_ranks
from .contents import differences, leftovers, read_contents
from .injection import Injection
from .processes import Command, Ended
from .subjects import SUBJECTS, Subject

__all__ = ["Case", "Outcome", "Reference", "Workshop"]

DONE = (
    "holds files already",
    "exists already",
    "holds other files",
)  # how a second start refuses what is finished
SAVED = "saving.ckpt -> run/checkpoints/last.ckpt"  # ends the operation after which a checkpoint is the last
LARGE = "64m"  # of a disk with space
APART = (
    "run/checkpoints/previous.ckpt",
    "run/checkpoints/damaged.ckpt",
)  # as many as were saved since the start


@dataclass
class Outcome:
    """What came of a fault."""

    number: int
    scenario: str
    subject: str
    fault: str  # in words
    line: str = ""  # that the user read, the last of stderr
    status: int | None = None
    again: str = ""  # how the same command ended afterwards
    lost: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)  # about the message and the exit status
    left: list[str] = field(default_factory=list)  # files left behind at the end
    seconds: float = 0.0
    commit: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing was lost, and the message was right."""
        return not (self.lost or self.unclear)


@dataclass(frozen=True)
class Reference:
    """A command that nothing happened to."""

    contents: dict[str, Any]
    operations: list[str]
    seconds: float
    size: int  # of its files, in bytes
    saves: list[int]  # operations after each of which a further checkpoint is the last


def ranks(subject: Subject) -> Callable[[], object] | None:
    """Returns what forks the other processes of a training, two on each node."""

    def fork() -> None:
        fork_ranks(subject.ranks)
        node, local = divmod(int(os.environ["RANK"]), 2)
        os.environ.update(GROUP_RANK=str(node), LOCAL_RANK=str(local), LOCAL_WORLD_SIZE="2")

    return fork if subject.ranks > 1 else None


class Workshop:
    """The folder of all cases, with the inputs and the references that they share."""

    def __init__(self, out: Path) -> None:
        self.out, self.inputs = out, out / "inputs"
        self._references: dict[str, Reference] = {}

    def reference(self, subject: Subject) -> Reference:
        """Returns what a command does when it is left alone; it is run once."""
        if subject.name not in self._references:
            folder, trace = (
                self.out / f"whole-{os.getpid()}" / subject.name,
                self.out / f"trace-{os.getpid()}",
            )
            for path in (folder, trace):
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)
            subject.prepare(folder, self.inputs)
            before = _size(folder)
            fault = Injection("none", str(folder), trace=str(trace))
            ended = Command(subject.line(folder, self.inputs), folder, fault, ranks(subject)).wait()
            if ended.status or leftovers(folder):
                raise RuntimeError(f"{subject.name} fails, or leaves {leftovers(folder)}: {ended.err}")
            operations = trace.read_text(encoding="utf-8").splitlines()
            saves = [number for number, line in enumerate(operations) if line.endswith(SAVED)]
            contents = read_contents(folder, folder)
            self._references[subject.name] = Reference(
                contents, operations, ended.seconds, _size(folder) - before, saves
            )
            shutil.rmtree(folder)
        return self._references[subject.name]


class Case:
    """A fault that is being tried.

    Args:
        workshop: whose inputs and references are used.
        outcome: is filled in.
        draw: draws all that the case leaves to chance.
    """

    def __init__(self, workshop: Workshop, outcome: Outcome, draw: random.Random) -> None:
        self.workshop, self.outcome, self.draw = workshop, outcome, draw
        self.subject = SUBJECTS[outcome.subject]
        self.folder = workshop.out / "cases" / str(outcome.number)
        self.reference = workshop.reference(self.subject)
        self.arguments = self.subject.line(self.folder, workshop.inputs)

    @contextmanager
    def prepared(self, disk: int | None = None) -> Iterator[None]:
        """Makes the folder for the time of the block; with `disk` as a file system that has so many bytes free."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if disk is not None:
            self._mount(LARGE)
        try:
            self.subject.prepare(self.folder, self.workshop.inputs)
            self.before = read_contents(self.folder, self.folder)
            if disk is not None:
                used = shutil.disk_usage(self.folder).used
                self._mount(str(used + disk), "remount,")
            yield
        finally:
            if disk is not None:
                subprocess.run(["umount", "--lazy", self.folder], check=True)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _mount(self, size: str, how: str = "") -> None:
        source = ["-t", "tmpfs", "tmpfs"] if not how else []
        subprocess.run(["mount", "-o", f"{how}size={size}", *source, self.folder], check=True)

    def enlarge_disk(self) -> None:
        """Gives the disk space again."""
        self._mount(LARGE, "remount,")

    def start(self, fault: Injection | None = None, before: Callable[[], object] | None = None) -> Command:
        """Starts the command."""
        return Command(self.arguments, self.folder, fault, before or ranks(self.subject))

    def run(self, fault: Injection | None = None, before: Callable[[], object] | None = None) -> Ended:
        """Runs the command that suffers, and notes what it printed."""
        return self.note(self.start(fault, before).wait())

    def note(self, ended: Ended) -> Ended:
        """Notes how the command that suffers has ended."""
        self.outcome.status, self.outcome.line = ended.status, ended.line
        return ended

    def expect_line(self, ended: Ended, *statuses: int) -> None:
        """Notes what is wrong with the message of a command that an error has ended."""
        unclear = self.outcome.unclear
        lines = [
            line for line in ended.err.splitlines() if line.startswith("ssl-zoo: ")
        ]  # after its progress
        if ended.status not in statuses:
            unclear.append(f"exit status {ended.status}")
        if "Traceback" in ended.err or "Traceback" in ended.out:
            unclear.append(f"a traceback: {(ended.err + ended.out)[-1500:]}")
        if len(lines) != 1 and self.subject.ranks == 1:  # others of several processes have a line each
            unclear.append(f"{len(lines)} messages on stderr")
        if not ended.line.startswith("ssl-zoo: "):
            unclear.append("not a message of ssl-zoo")
        if "; " not in ended.line:
            unclear.append("no advice")

    def expect_kept(self) -> None:
        """Notes which of the files that were there before the command are gone or others, and not what it writes."""
        now, written = read_contents(self.folder, self.folder), self.reference.contents
        for name, value in self.before.items():
            if name not in now or now[name] not in (value, written.get(name)):
                self.outcome.lost.append(f"harmed: {name}")

    def expect_saved(self, operations: int) -> None:
        """Notes where a checkpoint was saved before the fault, after so many operations, and none is left."""
        if self.subject.verb == "train" and any(at < operations for at in self.reference.saves):
            from ssl_zoo.run_dir.checkpoints import Damaged, read_checkpoint

            for file in (self.folder / "run/checkpoints").glob("*.ckpt"):
                with contextlib.suppress(Damaged):
                    read_checkpoint(file)
                    return
            self.outcome.lost.append("a checkpoint was saved, and none is left")

    def finish(self, before: Callable[[], object] | None = None) -> None:
        """Runs the same command without a fault, and notes what differs from one that nothing happened to."""
        ended = self.start(before=before).wait()
        if written := re.search(
            r"leave format=(\w+) out", ended.err
        ):  # one of two was there: the other is asked for
            rest = [
                re.sub(rf"(?<=[\[,]){written[1]},|,{written[1]}(?=\])", "", word) for word in self.arguments
            ]
            ended = Command(rest, self.folder).wait()
        refused = ended.status == 2 and any(words in ended.err for words in DONE)
        self.outcome.again = "done before" if refused else "done" if ended.status == 0 else ended.line
        if ended.status and not refused:
            self.outcome.lost.append(f"the same command ends with status {ended.status}")
        self.compare()

    def compare(self) -> None:
        """Notes what differs from the command that nothing happened to, and what is left behind."""
        found = read_contents(self.folder, self.folder)
        expected, found = (
            {name: value for name, value in each.items() if name not in APART and not name.endswith(".log")}
            for each in (self.reference.contents, found)
        )
        left = leftovers(self.folder)
        self.outcome.left += left
        whole = {
            name: value for name, value in found.items() if not any(name.startswith(path) for path in left)
        }
        self.outcome.lost += differences(expected, whole)

    def record(self) -> dict[str, Any]:
        """Returns the outcome in plain values, without the folder's path."""
        text = str(self.folder)
        return {
            key: value.replace(text, "OUT") if isinstance(value, str) else value
            for key, value in asdict(self.outcome).items()
        }


def _size(folder: Path) -> int:
    return sum(
        os.path.getsize(file) for file in folder.rglob("*") if file.is_file() and "images" not in file.parts
    )
