"""Disks that are full, broken or slow, folders that vanish, kills between file operations, power cuts."""

from __future__ import annotations

import errno
import os
import shutil

from .case import Case
from .injection import Injection
from .moments import HANG, expect_done, fault_at, moment

__all__ = ["disk_error", "file_cannot_grow", "full_disk", "hang", "killed", "power_cut", "vanished"]

ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


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
    _suffer_error(case, fault_at(case, "short", moment(case), amount=amount))


def disk_error(case: Case) -> None:
    """A full disk, a quota, a broken or read-only disk, or rights that are taken away."""
    number, at = case.draw.choice(ERRORS), moment(case)
    case.outcome.fault = errno.errorcode[number]
    _suffer_error(case, fault_at(case, "error", at, number))


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
    _suffer_kill(case, fault_at(case, "kill", moment(case)))


def power_cut(case: Case) -> None:
    """SIGKILL, and what was not synchronised to the disk lacks its end."""
    share = case.draw.choice((0.0, 0.5))
    case.outcome.fault = f"power cut, {share:.0%} of files not synchronised are there"
    _suffer_kill(case, fault_at(case, "power", moment(case), amount=share))


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
    fault = fault_at(case, "hang", moment(case), amount=HANG)
    if case.subject.name == "train-files":
        images, at = str(case.folder / "images"), case.draw.randrange(5000)
        fault = Injection("hang", images, at, amount=HANG, reads=True, children=True)
        case.outcome.fault = f"an image is read for {HANG:.0f} s by each loader worker"
    with case.prepared():
        expect_done(case, fault)
        case.compare()


def vanished(case: Case) -> None:
    """What the command writes to is removed while it runs."""
    case.outcome.fault = "its folder is removed"
    folder = case.folder / "out" if case.subject.verb == "bench" else case.folder / "run"
    fault = fault_at(case, "vanish", moment(case))._replace(folder=str(folder))
    with case.prepared():
        ended = case.run(fault)
        if ended.status:
            case.expect_line(ended, 1, 2)
        case.subject.prepare(case.folder, case.workshop.inputs)
        case.finish()


def _may_mount() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None
