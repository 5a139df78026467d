"""`ssl-zoo train launcher=slurm`: submits a run as a job, or finds the job that trains it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.cluster.queue import Queue, read_jobs, record_jobs
from ssl_zoo.cluster.run_job import RunJob
from ssl_zoo.cluster.submit import Command, submit
from ssl_zoo.errors import Interrupted, Unfinished, UserError
from ssl_zoo.files.locks import SUBMITTED, hold
from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.run_dir.directory import choose_run_dir
from ssl_zoo.run_dir.metrics_csv import read_metrics
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.terminal.console import Console
from ssl_zoo.training.logger_checks import check_loggers
from ssl_zoo.training.process import check_batch

__all__ = ["submit_run"]

TICK = 2.0  # seconds between looks at the run


def submit_run(job: RunJob) -> None:
    """Submits a run, unless a job that trains it waits or runs, or it is done.

    Raises:
        UserError: the run's directory, loggers or batch are wrong, or SLURM refuses the request; nothing is created.
        Unfinished: the job that was waited for has ended, and the run is not done.
        Interrupted: Ctrl-C while the job was waited for, which goes on.
    """
    config, run_dir, console = job.config, job.run_dir, Console()
    choose_run_dir(config)
    check_loggers(config)
    check_batch(config)
    if _is_done(job):
        console.print(f"done already: {run_dir / 'result.json'}")
        return
    queue, folder = Queue(), run_dir / SUBMITTED
    on_slurm = job.launch.slurm.cluster == "slurm"
    with hold(folder, wait=True):  # the same command, at the same time
        states = queue.ask() if on_slurm else {}
        known = [number for number in read_jobs(folder) if number in states]
        handle = None if known else _submit(job, folder)
        number = known[0] if handle is None else str(handle.job_id)
        if handle is not None:
            queue.expect(number)
            record_jobs(folder, {number: {"log": str(handle.paths.stderr)}})
    log = read_jobs(folder)[number]["log"]
    if handle is None:
        console.print(
            f"under way already, as job {number} ({states[number]}); log: {log}; to end it: scancel {number}"
        )
    else:
        console.print(f"submitted as job {number}: {_request(job)}; log: {log}")
        console.print(
            "it saves and requeues itself at its time limit; the same command reports where it stands"
        )
    if job.launch.wait:
        _follow(job, number, handle if not on_slurm else None, queue, Path(log), console)


def _submit(job: RunJob, folder: Path) -> Any:
    """Submits the run; returns submitit's handle."""
    with hold(job.run_dir):  # a process that was started otherwise, and would keep the job out
        pass
    new = not read_jobs(folder)
    command = Command(module_command("ssl_zoo", "train", *job.overrides))
    try:
        (handle,) = submit([command], folder, job.launch.slurm, tasks=job.tasks)
    except UserError:
        if new:
            for path in folder.iterdir():
                if path.name != ".lock":
                    path.unlink()
        raise
    return handle


def _request(job: RunJob) -> str:
    slurm = job.launch.slurm
    devices = f"{slurm.gpus} GPUs" if slurm.gpus else f"{job.tasks * slurm.cpus} cores"
    return f"{slurm.nodes} x {devices}, {slurm.minutes} minutes"


def _follow(job: RunJob, number: str, handle: Any, queue: Queue, log: Path, console: Console) -> None:
    """Reports the job's state and the run's epochs until the job has ended."""
    last = ""
    try:
        while not _is_done(job):
            state = queue.states().get(number) if handle is None else _state(handle)
            if state is None:
                break
            rows = read_metrics(job.run_dir)
            epoch = f", epoch {rows[-1]['epoch']:g} of {job.config.epochs}" if rows else ""
            if (now := f"job {number}: {state}{epoch}") != last:
                Console(stderr=True).print(now)
            last = now
            time.sleep(TICK)
    except KeyboardInterrupt:
        raise Interrupted(f"stopped waiting; job {number} goes on; to end it: scancel {number}") from None
    if not _is_done(job):
        raise Unfinished(
            f"job {number} has ended before the run; see {log}; the same command submits it again"
        )
    console.print(f"done: {job.run_dir / 'result.json'}")


def _state(handle: Any) -> str | None:
    return None if handle.done() else str(handle.state)


def _is_done(job: RunJob) -> bool:
    """Whether the run has a result, and was last started with as many epochs; a collapse may have ended it before."""
    if read_record(job.run_dir / "result.json") is None:
        return False
    try:
        begun = yaml.safe_load((job.run_dir / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(begun, dict) and begun.get("epochs") == job.config.epochs
