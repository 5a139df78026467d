"""Launches trials on a SLURM cluster, through submitit."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.suites.launch_local import Failure, last_message
from ssl_zoo.suites.options import SlurmConfig
from ssl_zoo.suites.trial import Trial, is_done, write_trial

__all__ = ["check_submitit", "run_slurm"]

TICK = 2.0  # seconds between checks of the queue


def check_submitit() -> None:
    """Refuses to begin where submitit is not installed."""
    if find_spec("submitit") is None:
        raise UserError(
            "launcher=slurm submits through submitit, which is not installed; pip install 'ssl-zoo[slurm]', or leave "
            "launcher out"
        )


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

    Ctrl-C ends the waiting, not the trials: the same command later finds what they have finished and submits the rest
    again; a run is locked by the process that trains it, so that a second one waits.

    Args:
        take: gives the next trial to start; None while there is none.
        rows: the folder of the run directories, on a file system that all machines share.
        config: what each worker asks the cluster for.
        workers: trials at a time; None: as many as the cluster gives.
        on_tick: is called every two seconds with the number of trials that run and wait.
        on_end: is called for each trial that has ended, with its failure if it has no result.
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
    import submitit

    files = [write_trial(trial, rows) for trial in trials]
    cluster = None if config.cluster == "slurm" else config.cluster
    executor = submitit.AutoExecutor(folder=rows / "submitit", cluster=cluster)
    executor.update_parameters(**_parameters(config, workers))
    logs = [rows / f"{trial.name}.log" for trial in trials]
    starts = [log.stat().st_size if log.is_file() else 0 for log in logs]
    submitted = executor.map_array(_run, files, logs)
    unfinished = list(zip(trials, submitted, logs, starts, strict=True))
    while unfinished:
        for entry in [entry for entry in unfinished if entry[1].done()]:
            trial, handle, log, log_start = entry
            unfinished.remove(entry)
            done = is_done(trial, rows / trial.name)
            on_end(trial, None if done else Failure(trial, _message(handle, log, log_start), log))
        states = [handle.state for _, handle, *_ in unfinished]
        running = states.count("RUNNING")
        on_tick(running, len(unfinished) - running)
        if unfinished:
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


def _run(file: Path, log: Path) -> int:
    """Runs, on the machine that the cluster gave, the same process as `launcher=local` starts."""
    with log.open("ab") as out:
        command = module_command("ssl_zoo.suites.worker", str(file))
        return subprocess.run(command, stdout=out, stderr=out, check=False).returncode


def _message(handle: Any, log: Path, log_start: int) -> str:
    """Returns the last message of a worker without a result, or what the cluster reports of it."""
    return last_message(log, log_start) or f"the cluster says {handle.state}; see {handle.paths.stderr}"
