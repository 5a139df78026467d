"""What a job asks of SLURM, and the options of `ssl-zoo train` that choose it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ssl_zoo.config.overrides import override_list, read_override, to_nested
from ssl_zoo.config.schema import Count, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError

__all__ = ["LaunchConfig", "SlurmConfig", "read_launch"]


@section
class SlurmConfig:
    """Settings of `launcher=slurm`, which submits jobs through submitit."""

    cluster: Literal["slurm", "local"] = "slurm"
    """submitit's executor. local: processes of this machine, to try it out."""
    partition: str | None = None
    """SLURM's partition."""
    account: str | None = None
    """SLURM's account."""
    minutes: Count = 24 * 60
    """Time limit of a job, in minutes. A trial or run that needs more requeues itself."""
    grace: Annotated[int, Field(ge=10, le=3600)] = 120
    """Seconds before the time limit at which a job is told to save: more than a checkpoint and 16 steps take."""
    nodes: Count = 1
    """Machines of a run; a trial of a suite has one."""
    gpus: Annotated[int, Field(ge=0)] = 1
    """GPUs of a trial, or of each machine of a run."""
    cpus: Count = 8
    """CPU cores of a trial, or of each process of a run."""
    memory_gb: Count = 32
    """Memory of a trial, or of each machine of a run, in GB."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further options of sbatch: constraint, qos ..."""

    def __post_init__(self) -> None:
        if self.grace >= 60 * self.minutes:
            raise UserError(
                f"slurm.grace must be less than the time limit, {60 * self.minutes} seconds; received {self.grace}; "
                "set slurm.minutes=N"
            )


@section
class LaunchConfig:
    """Where `ssl-zoo train` trains."""

    launcher: Literal["local", "slurm"] = "local"
    """Where the run trains: in this process, or in a job of SLURM."""
    slurm: SlurmConfig = SlurmConfig()
    wait: bool = False
    """Whether the command waits for its job and follows it; otherwise it ends when the job is submitted."""


def read_launch(overrides: Sequence[str]) -> tuple[LaunchConfig, list[str]]:
    """Splits overrides into these options and those of the run.

    Raises:
        UserError: an override cannot be read, or a value is wrong.
    """
    settings, rest = list[tuple[str, Any]](), list[str]()
    for override in override_list(overrides):
        key, value = read_override(override)
        if key.partition(".")[0] in LaunchConfig.__dataclass_fields__:
            settings.append((key, value))
        else:
            rest.append(override)
    config = validate(LaunchConfig, to_nested(settings), "")
    unread = [key for key, _ in settings if key != "launcher"]
    if unread and config.launcher == "local":
        raise UserError(
            f"{unread[0]} is read with launcher=slurm; received no such launcher; add it, or leave it out"
        )
    return config, rest
