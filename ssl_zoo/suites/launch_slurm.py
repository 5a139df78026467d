"""Launches trials on a SLURM cluster, as arrays of jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_zoo.cluster.options import SlurmConfig
from ssl_zoo.cluster.queue import Queue, read_jobs, record_jobs
from ssl_zoo.cluster.submit import Command, submit
from ssl_zoo.files.locks import hold
from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.suites.launch_local import Failure, last_message
from ssl_zoo.suites.trial import Trial, is_done, write_trial

__all__ = ["run_slurm"]

TICK = 2.0  # seconds between looks at the trials' results


def run_slurm(
    take: Callable[[], Trial | None],
    rows: Path,
    config: SlurmConfig,
    workers: int | None,
    *,
    on_tick: Callable[[int, int], None],
    on_end: Callable[[Trial, Failure | None], None],
) -> None:
    """Submits trials as one array and waits for them, then what has become possible by their results, and so on.

    Ctrl-C ends the waiting, not the trials: the same command later finds the jobs that wait or run, waits for these,
    and submits the rest. A job that SLURM stops requeues itself, and its trial continues at its checkpoint.

    Args:
        take: gives the next trial to start; None while there is none.
        rows: the folder of the run directories, on a file system that all machines share.
        config: what each worker asks the cluster for.
        workers: trials at a time; None: as many as the cluster gives.
        on_tick: is called every two seconds with the number of trials that run and wait.
        on_end: is called for each trial that has ended, with its failure if it has no result.

    Raises:
        UserError: SLURM does not answer, or refuses the request.
    """
    while trials := list(iter(take, None)):
        _run_array(trials, rows, config, workers, on_tick, on_end)


def _run_array(
    trials: Sequence[Trial],
    rows: Path,
    config: SlurmConfig,
    workers: int | None,
    on_tick: Callable[[int, int], None],
    on_end: Callable[[Trial, Failure | None], None],
) -> None:
    queue = Queue()
    if config.cluster == "slurm":
        queue.ask()  # refused before anything is written
    _wait(_submit_missing(trials, rows, config, workers, queue), rows, queue, on_tick, on_end)


@dataclass(frozen=True)
class _Job:
    """A trial that was submitted: now, or by an earlier command, of which `handle` is None."""

    trial: Trial
    number: str
    log: Path
    log_start: int  # bytes of the log, from earlier jobs
    handle: Any = None  # submitit's

    def state(self, queue: Queue) -> str | None:
        """Returns SLURM's word for where it stands, or that of submitit's local executor; None when it has ended."""
        if self.handle is not None and not _is_of_slurm(self.handle):
            return None if self.handle.done() else str(self.handle.state)
        return queue.states().get(self.number)

    def failure(self) -> Failure:
        """Returns the failure of a trial that has ended without a result."""
        message = last_message(self.log, self.log_start)
        return Failure(
            self.trial, message or f"job {self.number} has left the queue, and printed nothing", self.log
        )


def _is_of_slurm(handle: Any) -> bool:
    return type(handle).__name__ == "SlurmJob"


def _submit_missing(
    trials: Sequence[Trial], rows: Path, config: SlurmConfig, workers: int | None, queue: Queue
) -> list[_Job]:
    """Submits the trials that no job in the queue runs; returns the jobs of all."""
    files = {trial.name: write_trial(trial, rows) for trial in trials}
    logs = {trial.name: rows / f"{trial.name}.log" for trial in trials}
    folder = rows / "submitit"
    with hold(folder, wait=True):  # another command that submits the same trials
        known = read_jobs(folder) if config.cluster == "slurm" else {}
        states = queue.ask() if config.cluster == "slurm" else {}
        jobs, missing = list[_Job](), list[Trial]()
        for trial in trials:
            entry = known.get(files[trial.name].name)
            if entry is not None and entry["job"] in states:
                jobs.append(_Job(trial, entry["job"], logs[trial.name], entry["log_start"]))
            else:
                missing.append(trial)
        commands = [
            Command(module_command("ssl_zoo.suites.worker", str(files[trial.name])), logs[trial.name])
            for trial in missing
        ]
        starts = [_size(logs[trial.name]) for trial in missing]  # before a job may write there
        handles = submit(commands, folder, config, parallel=workers) if commands else []
        for trial, start, handle in zip(missing, starts, handles, strict=True):
            queue.expect(handle.job_id)
            jobs.append(_Job(trial, handle.job_id, logs[trial.name], start, handle))
        record_jobs(
            folder,
            {files[job.trial.name].name: {"job": job.number, "log_start": job.log_start} for job in jobs},
        )
    return jobs


def _size(log: Path) -> int:
    return log.stat().st_size if log.is_file() else 0


def _wait(
    jobs: Sequence[_Job],
    rows: Path,
    queue: Queue,
    on_tick: Callable[[int, int], None],
    on_end: Callable[[Trial, Failure | None], None],
) -> None:
    unfinished = list(jobs)
    while unfinished:
        states = {job.number: job.state(queue) for job in unfinished}
        for job in list(unfinished):
            if states[job.number] is None:
                unfinished.remove(job)
                done = is_done(job.trial, rows / job.trial.name)
                on_end(job.trial, None if done else job.failure())
        running = sum(states[job.number] == "RUNNING" for job in unfinished)
        on_tick(running, len(unfinished) - running)
        if unfinished:
            time.sleep(TICK)
