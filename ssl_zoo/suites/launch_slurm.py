"""Jobs submitted to a SLURM cluster, through submitit."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.suites.launch_local import Failure, last_words
from ssl_zoo.suites.options import SlurmConfig
from ssl_zoo.suites.plan import Job
from ssl_zoo.suites.trial import is_done, write_task

__all__ = ["check_submitit", "run_slurm"]

TICK = 2.0  # seconds between looks at the queue


def check_submitit() -> None:
    """Refuses to begin where submitit is not installed."""
    if find_spec("submitit") is None:
        raise UserError(
            "launcher=slurm submits through submitit, which is not installed; pip install 'ssl-zoo[slurm]', or leave "
            "launcher out"
        )


def run_slurm(
    jobs: Sequence[Job],
    rows: Path,
    config: SlurmConfig,
    workers: int | None,
    *,
    watch: Callable[[int, int, int], None],
    ended: Callable[[Job, Failure | None], None],
) -> None:
    """Submits jobs as one array and waits for them.

    Ctrl-C ends the waiting, not the jobs: the same command later finds what they have finished and submits the rest
    again; a run is locked by the process that trains it, so that a second one waits.

    Args:
        jobs: those that are not done.
        rows: the folder of the runs, on a file system that all machines share.
        config: what each job asks the cluster for.
        workers: jobs at a time; None: as many as the cluster gives.
        watch: is called every two seconds with the number of jobs that run, wait and have ended.
        ended: is called for each job that has ended, with its failure if it has no result.
    """
    import submitit

    tasks = [write_task(job, rows) for job in jobs]
    cluster = None if config.cluster == "slurm" else config.cluster
    executor = submitit.AutoExecutor(folder=rows / "submitit", cluster=cluster)
    executor.update_parameters(**_parameters(config, workers))
    logs = [rows / f"{job.name}.log" for job in jobs]
    before = [log.stat().st_size if log.is_file() else 0 for log in logs]
    submitted = executor.map_array(_run, tasks, logs)
    open_ = list(zip(jobs, submitted, logs, before, strict=True))
    while open_:
        for one in [one for one in open_ if one[1].done()]:
            job, handle, log, since = one
            open_.remove(one)
            done = is_done(job, rows / job.name)
            ended(job, None if done else Failure(job, _why(handle, log, since), log))
        states = [handle.state for _, handle, *_ in open_]
        watch(states.count("RUNNING"), len(open_) - states.count("RUNNING"), len(jobs) - len(open_))
        if open_:
            time.sleep(TICK)


def _parameters(config: SlurmConfig, workers: int | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "name": "ssl-zoo",
        "timeout_min": config.minutes,
        "gpus_per_node": config.gpus,
        "cpus_per_task": config.cpus,
        "mem_gb": config.memory_gb,
        "slurm_array_parallelism": workers or 1000,
        "slurm_partition": config.partition,
        "slurm_account": config.account,
        "slurm_additional_parameters": config.extra or None,
    }
    return {key: value for key, value in parameters.items() if value is not None}


def _run(task: Path, log: Path) -> int:
    """On the machine that the cluster gave: the same process as `launcher=local` starts."""
    with log.open("ab") as out:
        command = [sys.executable, "-m", "ssl_zoo.suites.trial", str(task)]
        return subprocess.run(command, stdout=out, stderr=out, check=False).returncode


def _why(handle: Any, log: Path, since: int) -> str:
    """What a job that has no result said last, or what the cluster says of it."""
    return last_words(log, since) or f"the cluster says {handle.state}; see {handle.paths.stderr}"
