"""Jobs side by side on this machine, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch

from ssl_zoo.suites.plan import Job
from ssl_zoo.suites.trial import PATIENCE, is_done, write_task
from ssl_zoo.terminal.signals import sigterm_interrupts

__all__ = ["Failure", "Running", "Slots", "last_words", "run_local"]

TICK = 0.25  # seconds between looks at the processes
FULL = 2**20  # bytes free, at most, of a disk to which the log of a run cannot be written
LAST = 2000  # characters of a log that are read for the message of a failed run


@dataclass(frozen=True)
class Slots:
    """How many runs at a time, and what each gets.

    Attributes:
        workers: runs at a time.
        gpus: devices of each; empty on a CPU.
        threads: CPU threads of each, for OMP_NUM_THREADS.
    """

    workers: int
    gpus: tuple[tuple[int, ...], ...]
    threads: int

    @classmethod
    def of(cls, device: str, workers: int | None, threads: int | None, devices: int = 1) -> Slots:
        """Shares this machine out.

        Args:
            device: cpu, cuda or mps.
            workers: as asked for; None: one for each GPU, or for each core that `threads` allow.
            threads: as asked for; None: 1 on a CPU, so that the figures don't depend on the number of workers; beside
                a GPU a share of the cores.
            devices: processes of one run.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if device == "cpu":
            each = threads or 1
            return cls(workers or max(1, cores // (each * devices)), (), each)
        there = torch.cuda.device_count() if device == "cuda" else 1
        groups = [tuple(range(i, i + devices)) for i in range(0, there - devices + 1, devices)]
        many = workers or max(1, len(groups))
        gpus = tuple(groups[i % len(groups)] for i in range(many)) if groups and device == "cuda" else ()
        return cls(many, gpus, threads or max(1, cores // many))


@dataclass
class Running:
    """A job under way."""

    job: Job
    folder: Path
    slot: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    said_before: int  # bytes of the log, from earlier starts
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Failure:
    """A job that ended without a result."""

    job: Job
    message: str
    log: Path


Watch = Callable[[Sequence[Running], Sequence[Job]], None]


def run_local(
    jobs: Sequence[Job],
    rows: Path,
    slots: Slots,
    *,
    watch: Watch,
    ended: Callable[[Running, Failure | None], None],
) -> None:
    """Runs jobs, the first ones first, until all have ended; one that fails does not stop the others.

    Args:
        jobs: those that are not done.
        rows: the folder of the runs.
        slots: how many at a time.
        watch: is called four times a second with what runs and what waits.
        ended: is called for each job that has ended, with its failure if it has no result.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM: those under way have been stopped, and saved where they could.
    """
    waiting, running = list(jobs), list[Running]()
    with sigterm_interrupts():
        try:
            while waiting or running:
                while waiting and len(running) < slots.workers:
                    free = next(i for i in range(slots.workers) if all(one.slot != i for one in running))
                    running.append(_start(waiting.pop(0), rows, slots, free))
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    ended(one, _failure(one))
                watch(running, waiting)
                time.sleep(TICK)
        except BaseException:
            _stop(running)
            raise


def _start(job: Job, rows: Path, slots: Slots, slot: int) -> Running:
    task, log = write_task(job, rows), (rows / f"{job.name}.log").open("ab")
    said_before = log.tell()
    environment = {**os.environ, "OMP_NUM_THREADS": str(slots.threads), "PYTHONUNBUFFERED": "1"}
    if slots.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(_device(i) for i in slots.gpus[slot])
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_zoo.suites.trial", str(task), "--with-parent"],
        stdin=subprocess.PIPE,  # never written to: it closes when this process is gone, however it goes
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,  # Ctrl-C is this process's to pass on
    )
    return Running(job, rows / job.name, slot, process, log, said_before)


def _device(index: int) -> str:
    """A GPU's name among those that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def _failure(one: Running) -> Failure | None:
    _close(one)
    if is_done(one.job, one.folder):
        return None
    path = Path(one.log.name)
    code = one.process.returncode
    said = last_words(path, one.said_before) or f"the process ended with status {code}, and said nothing"
    if shutil.disk_usage(path).free < FULL:
        said += "; the disk is full"
    if code < 0:
        said = f"killed by signal {-code}{' (out of memory?)' if code == -signal.SIGKILL else ''}"
    return Failure(one.job, said, path)


def last_words(log: Path, since: int = 0) -> str:
    """The message at the end of a log, from a byte on: ssl-zoo's own, or the last line of a traceback."""
    try:
        lines = log.read_bytes()[since:].decode(errors="replace")[-LAST:].splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    own = [line for line in lines if line.startswith("ssl-zoo: ")]
    return (own or lines or [""])[-1].removeprefix("ssl-zoo: ")


def _close(one: Running) -> None:
    if one.process.stdin is not None:
        with contextlib.suppress(OSError):
            one.process.stdin.close()
    one.log.close()


def _stop(running: Sequence[Running]) -> None:
    """Stops what is under way; each run saves itself first."""
    for one in running:
        with contextlib.suppress(ProcessLookupError):
            one.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    for one in running:
        try:
            one.process.wait(max(0.1, until - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.process.pid, signal.SIGKILL)
        _close(one)
