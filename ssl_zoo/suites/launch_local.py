"""Launches trials on this machine: several workers at a time, each a process of its own."""

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

from ssl_zoo.suites.trial import PATIENCE, Trial, is_done, write_trial
from ssl_zoo.terminal.signals import sigterm_interrupts

__all__ = ["Failure", "Slots", "Worker", "last_message", "run_local"]

TICK = 0.25  # seconds between checks of the processes
FULL = 2**20  # bytes free, at most, of a disk to which the log of a run cannot be written
LAST = 2000  # characters of a log that are read for the message of a failed run


@dataclass(frozen=True)
class Slots:
    """Number of trials at a time, and the resources of each.

    Attributes:
        workers: trials at a time.
        gpus: devices of each; empty on a CPU.
        threads: CPU threads of each, for OMP_NUM_THREADS.
    """

    workers: int
    gpus: tuple[tuple[int, ...], ...]
    threads: int

    @classmethod
    def of_machine(cls, device: str, workers: int | None, threads: int | None, devices: int = 1) -> Slots:
        """Divides this machine among workers.

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
        gpus_here = torch.cuda.device_count() if device == "cuda" else 1
        groups = [tuple(range(i, i + devices)) for i in range(0, gpus_here - devices + 1, devices)]
        many = workers or max(1, len(groups))
        gpus = tuple(groups[i % len(groups)] for i in range(many)) if groups and device == "cuda" else ()
        return cls(many, gpus, threads or max(1, cores // many))


@dataclass
class Worker:
    """The process of a trial."""

    trial: Trial
    folder: Path
    slot: int
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_start: int  # bytes of the log, from earlier starts
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Failure:
    """A trial that ended without a result, with the message of its worker."""

    trial: Trial
    message: str
    log: Path


def run_local(
    take: Callable[[], Trial | None],
    rows: Path,
    slots: Slots,
    *,
    on_tick: Callable[[Sequence[Worker]], None],
    on_end: Callable[[Trial, Failure | None], None],
) -> None:
    """Runs trials until none is left and all have ended; one that fails does not stop the others.

    Args:
        take: gives the next trial to start; None while there is none.
        rows: the folder of the run directories.
        slots: how many at a time.
        on_tick: is called four times a second with the workers.
        on_end: is called for each trial that has ended, with its failure if it has no result.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM: those under way have been stopped, and saved where they could.
    """
    workers = list[Worker]()
    with sigterm_interrupts():
        try:
            while True:
                for worker in [worker for worker in workers if worker.process.poll() is not None]:
                    workers.remove(worker)
                    on_end(worker.trial, _failure(worker))
                while len(workers) < slots.workers and (trial := take()) is not None:
                    free = min(set(range(slots.workers)) - {worker.slot for worker in workers})
                    workers.append(_start(trial, rows, slots, free))
                if not workers:
                    return
                on_tick(workers)
                time.sleep(TICK)
        except BaseException:
            _stop(workers)
            raise


def _start(trial: Trial, rows: Path, slots: Slots, slot: int) -> Worker:
    file, log = write_trial(trial, rows), (rows / f"{trial.name}.log").open("ab")
    log_start = log.tell()
    environment = {**os.environ, "OMP_NUM_THREADS": str(slots.threads), "PYTHONUNBUFFERED": "1"}
    if slots.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(_device(i) for i in slots.gpus[slot])
    process = subprocess.Popen(
        [sys.executable, "-m", "ssl_zoo.suites.worker", str(file), "--with-parent"],
        stdin=subprocess.PIPE,  # never written to: it closes when this process is gone, however it goes
        stdout=log,
        stderr=log,
        env=environment,
        start_new_session=True,  # this process passes Ctrl-C on
    )
    return Worker(trial, rows / trial.name, slot, process, log, log_start)


def _device(index: int) -> str:
    """Returns a GPU's name among those that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def _failure(worker: Worker) -> Failure | None:
    _close(worker)
    if is_done(worker.trial, worker.folder):
        return None
    path = Path(worker.log.name)
    code = worker.process.returncode
    message = (
        last_message(path, worker.log_start) or f"the process ended with status {code}, and said nothing"
    )
    if shutil.disk_usage(path).free < FULL:
        message += "; the disk is full"
    if code < 0:
        message = f"killed by signal {-code}{' (out of memory?)' if code == -signal.SIGKILL else ''}"
    return Failure(worker.trial, message, path)


def last_message(log: Path, since: int = 0) -> str:
    """Returns the message at the end of a log, from a byte on: ssl-zoo's own, or the last line of a traceback."""
    try:
        lines = log.read_bytes()[since:].decode(errors="replace")[-LAST:].splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    ours = [line for line in lines if line.startswith("ssl-zoo: ")]
    return (ours or lines or [""])[-1].removeprefix("ssl-zoo: ")


def _close(worker: Worker) -> None:
    if worker.process.stdin is not None:
        with contextlib.suppress(OSError):
            worker.process.stdin.close()
    worker.log.close()


def _stop(workers: Sequence[Worker]) -> None:
    """Stops all workers; each run saves itself first."""
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            worker.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    for worker in workers:
        try:
            worker.process.wait(max(0.1, until - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
        _close(worker)
