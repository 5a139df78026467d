"""Submits commands to SLURM, through submitit. A job runs its command as a batch script would by srun."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.cluster.options import SlurmConfig
from ssl_zoo.errors import UserError

__all__ = ["Command", "check_submitit", "sbatch_options", "submit"]

SIGNAL = "USR1"  # submitit's own is USR2, at which it would requeue without saving between two steps


class Command(NamedTuple):
    """A command, and the file to which its output goes; None: submitit's."""

    arguments: list[str]
    log: Path | None = None


def check_submitit() -> None:
    """Refuses to begin where submitit is not installed."""
    if find_spec("submitit") is None:
        raise UserError(
            "launcher=slurm submits through submitit, which is not installed; pip install 'ssl-zoo[slurm]', or leave "
            "launcher out"
        )


def submit(
    commands: Sequence[Command],
    folder: Path,
    config: SlurmConfig,
    *,
    tasks: int = 1,
    parallel: int | None = None,
) -> list[Any]:
    """Submits commands as one array, or one as a job; returns submitit's handles of the jobs.

    Args:
        commands: what is run, each in a job.
        folder: of submitit's files: the batch script, and the output that has no log of its own.
        config: what each job asks for.
        tasks: processes of a command on each machine.
        parallel: commands at a time; None: as many as the cluster gives.

    Raises:
        UserError: this machine cannot submit, or SLURM refuses the request, in its own words.
    """
    import submitit

    cluster = None if config.cluster == "slurm" else config.cluster
    try:
        with _local_signal():
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster or "slurm")
            executor.update_parameters(**sbatch_options(config, tasks=tasks, parallel=parallel))
            return list(executor.map_array(run_command, commands))
    except (
        submitit.core.utils.FailedJobError,
        submitit.core.utils.FailedSubmissionError,
        RuntimeError,
    ) as error:
        reason = next(
            (line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__
        )
        raise UserError(
            f"launcher=slurm submits by sbatch, which refused: {reason.strip()}; change slurm.*, or submit where "
            "sbatch works"
        ) from error


def sbatch_options(config: SlurmConfig, *, tasks: int = 1, parallel: int | None = None) -> dict[str, Any]:
    """Returns submitit's parameters."""
    further = {"signal": f"{SIGNAL}@{config.grace}", "requeue": True, **config.extra}
    parameters: dict[str, Any] = {
        "name": "ssl-zoo",
        "timeout_min": config.minutes,
        "nodes": config.nodes,
        "tasks_per_node": tasks,
        "gpus_per_node": config.gpus,
        "cpus_per_task": config.cpus,
        "mem_gb": config.memory_gb,
        "slurm_array_parallelism": parallel or 1000,
        "slurm_partition": config.partition,
        "slurm_account": config.account,
        "slurm_srun_args": [f"--cpus-per-task={config.cpus}"],  # which srun takes over from sbatch no more
        "slurm_additional_parameters": further,
    }
    return {key: value for key, value in parameters.items() if value is not None}


def run_command(command: Command) -> None:
    """Becomes the command, in a job: signals then reach the run itself and not a process that waits for it."""
    if command.log is not None:
        log = os.open(command.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(log, stream)
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.execv(command.arguments[0], command.arguments)


@contextmanager
def _local_signal() -> Iterator[None]:
    """Has submitit's local executor, which reads this variable, announce the time limit as SLURM does."""
    name = "SUBMITIT_PREEMPT_SIGNAL"
    before = os.environ.get(name)
    os.environ[name] = SIGNAL
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
