"""Launches trials on this machine: several workers at a time, each a process that runs one trial after another."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import torch

from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.suites.trial import PATIENCE, Trial, is_done, write_trial
from ssl_zoo.terminal.signals import signals_interrupt

__all__ = ["Failure", "Slots", "Worker", "last_message", "run_local"]

TICK = 0.1  # seconds between checks of the processes
RENEW = 50  # trials after which a process is replaced, should they leave memory behind
FULL = 2**20  # bytes free, at most, of a disk to which the log of a run cannot be written
HAS_GROUPS = hasattr(os, "killpg")  # of processes, and signals that they can answer; not on Windows
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
                a GPU a part of the cores.
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
        on_tick: is called ten times a second with the workers that run a trial.
        on_end: is called for each trial that has ended, with its failure if it has no result.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM: those under way have been stopped, and saved where they could.
    """
    workers = [Worker(rows, slots, slot) for slot in range(slots.workers)]
    with signals_interrupt():
        try:
            while True:
                for worker in workers:
                    if worker.has_ended:
                        on_end(*worker.finish())
                for worker in workers:
                    if worker.trial is None and (trial := take()) is not None:
                        worker.start(trial)
                busy = [worker for worker in workers if worker.trial is not None]
                if not busy:
                    break
                on_tick(busy)
                time.sleep(TICK)
        except BaseException:
            _end(workers, stop=True)
            raise
        _end(workers)


class Worker:
    """The process of a slot, which starts with its first trial, and anew after one that failed or after `RENEW`.

    Args:
        rows: the folder of the run directories.
        slots: the resources of a trial.
        slot: this one's number.

    Attributes:
        trial: the trial under way; None while it waits for one.
    """

    def __init__(self, rows: Path, slots: Slots, slot: int) -> None:
        self.rows, self.slots, self.slot = rows, slots, slot
        self.trial: Trial | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._answers = SimpleQueue[bytes]()
        self._trials = 0  # that the process was given
        self._log, self._log_start = rows, 0  # bytes of the log, from earlier starts

    def start(self, trial: Trial) -> None:
        """Has the process run a trial."""
        file, self._log = write_trial(trial, self.rows), self.rows / f"{trial.name}.log"
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            if self.process is None or self.process.poll() is not None or self._trials == RENEW:
                self.process, self._trials = self._launch(log), 0
        assert self.process.stdin is not None
        self.trial, self._trials = trial, self._trials + 1
        with contextlib.suppress(BrokenPipeError):  # it has just ended, which is noticed with the next tick
            self.process.stdin.write(json.dumps([str(file), str(self._log)]).encode() + b"\n")
            self.process.stdin.flush()

    def _launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        slots = self.slots
        environment = {**os.environ, "OMP_NUM_THREADS": str(slots.threads), "PYTHONUNBUFFERED": "1"}
        if slots.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(_device(i) for i in slots.gpus[self.slot])
        self.close()
        if self.process is not None:
            self.process.wait()
        process = subprocess.Popen(
            module_command("ssl_zoo.suites.worker", "--serve"),
            stdin=subprocess.PIPE,  # closes when this process is gone, however it goes
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # this process passes Ctrl-C on
        )
        self._answers = SimpleQueue[bytes]()
        threading.Thread(target=_pass_on, args=(process.stdout, self._answers), daemon=True).start()
        return process

    @property
    def has_ended(self) -> bool:
        """Whether the trial under way has ended."""
        if self.trial is None or self.process is None:
            return False
        return not self._answers.empty() or self.process.poll() is not None

    def finish(self) -> tuple[Trial, Failure | None]:
        """Returns the trial that has ended, with its failure if it has no result."""
        trial, self.trial = self.trial, None
        assert trial is not None
        assert self.process is not None
        while not self._answers.empty():
            self._answers.get()
        if is_done(trial, self.rows / trial.name):
            return trial, None
        code = self.process.poll()
        message = last_message(self._log, self._log_start)
        if not message:
            message = f"the process ended with status {code}, and printed nothing"
        if shutil.disk_usage(self._log).free < FULL:
            message += "; the disk is full"
        if code is not None and code < 0:
            message = f"killed by signal {-code}{' (out of memory?)' if code == -signal.SIGKILL else ''}"
        return trial, Failure(trial, message, self._log)

    def close(self) -> None:
        """Closes stdin, by which the process ends."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def _pass_on(stream: IO[bytes], answers: SimpleQueue[bytes]) -> None:
    with stream:
        for line in stream:
            answers.put(line)


def _device(index: int) -> str:
    """Returns a GPU's name among those that this process may see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def last_message(log: Path, since: int = 0) -> str:
    """Returns the message at the end of a log, from a byte on: ssl-zoo's own, or the last line of a traceback."""
    try:
        lines = log.read_bytes()[since:].decode(errors="replace")[-LAST:].splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    ours = [line for line in lines if line.startswith("ssl-zoo: ")]
    return (ours or lines or [""])[-1].removeprefix("ssl-zoo: ")


def _end(workers: Sequence[Worker], *, stop: bool = False) -> None:
    """Ends all processes; a run under way is stopped, and saves itself first."""
    processes = [worker.process for worker in workers if worker.process is not None]
    if stop and HAS_GROUPS:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
    else:  # a run under way is then stopped too; on Windows SIGTERM would end the process at once
        for worker in workers:
            worker.close()
    until = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with contextlib.suppress(ProcessLookupError):
                if HAS_GROUPS:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
    for worker in workers:
        worker.close()
