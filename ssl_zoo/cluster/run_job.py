"""The job of a run: what `ssl-zoo train launcher=slurm` submits, composed and checked before anything is created."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_zoo.cluster.checks import check_folders
from ssl_zoo.cluster.options import LaunchConfig
from ssl_zoo.cluster.submit import check_submitit
from ssl_zoo.config.overrides import read_override, write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path
from ssl_zoo.run_dir.continuation import compose_run

__all__ = ["RunJob", "compose_job"]


@dataclass(frozen=True)
class RunJob:
    """A run and the job that trains it.

    Attributes:
        config: of the run.
        overrides: of `ssl-zoo train` in the job.
        launch: what the job asks for.
        run_dir: the run directory, an absolute path.
    """

    config: RunConfig
    overrides: tuple[str, ...]
    launch: LaunchConfig
    run_dir: Path

    @property
    def tasks(self) -> int:
        """Processes that SLURM starts on each machine; with submitit's local executor the run starts its own."""
        return self.config.trainer.devices if self.launch.slurm.cluster == "slurm" else 1


def compose_job(launch: LaunchConfig, overrides: Sequence[str]) -> RunJob:
    """Composes the run, with `resume=auto` and a process for each GPU that its job gets.

    Raises:
        UserError: an override is wrong, or the run does not fit its job.
    """
    check_submitit()
    given, slurm = dict(map(read_override, overrides)), launch.slurm
    if not isinstance(given.get("run_dir"), str):
        raise UserError(
            "launcher=slurm needs a run directory, in which the same command finds the run again; received no run_dir; "
            "set run_dir=FOLDER"
        )
    if given.get("resume", "auto") != "auto":
        raise UserError(
            f"with launcher=slurm a run continues in its run_dir, by resume=auto; received resume={given['resume']}; "
            "leave it out"
        )
    if slurm.cluster == "local" and slurm.nodes > 1:
        raise UserError(
            f"slurm.cluster=local is this machine alone; received slurm.nodes={slurm.nodes}; leave it out"
        )
    run_dir = Path(os.path.abspath(user_path(given["run_dir"], "run_dir")))
    complete = [override for override in overrides if read_override(override)[0] not in ("run_dir", "resume")]
    complete += [write_override("run_dir", str(run_dir)), "resume=auto"]
    asked = {"trainer.devices": max(1, slurm.gpus), "trainer.num_nodes": slurm.nodes}
    complete += [f"{key}={value}" for key, value in asked.items() if key not in given]
    config = compose_run(complete)
    _check_devices(config, launch)
    check_folders(config.data)
    return RunJob(config, tuple(complete), launch, run_dir)


def _check_devices(config: RunConfig, launch: LaunchConfig) -> None:
    """Refuses a run that has not a process for each GPU and machine of its job."""
    slurm, trainer = launch.slurm, config.trainer
    if trainer.num_nodes != slurm.nodes:
        raise UserError(
            f"trainer.num_nodes must be slurm.nodes, {slurm.nodes}; received {trainer.num_nodes}; leave it out"
        )
    if slurm.gpus and trainer.accelerator != "cpu" and trainer.devices != slurm.gpus:
        raise UserError(
            f"trainer.devices must be slurm.gpus, {slurm.gpus}, a process for each; received {trainer.devices}; leave "
            "it out"
        )
