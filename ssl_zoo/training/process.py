"""The rank of this process among those of a training, and what starts them: torchrun, srun or the run itself."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import pick_device

__all__ = ["Process", "check_batch", "cluster", "launcher", "this_process"]


class Process(NamedTuple):
    """This process among those of the run."""

    rank: int
    world_size: int

    @property
    def rank_zero(self) -> bool:
        """Whether it is the one that measures, writes and logs."""
        return self.rank == 0


def this_process(config: RunConfig) -> Process:
    """Returns this process's rank among the processes that the configuration asks for.

    Raises:
        UserError: there are fewer devices, the batch cannot be divided among them, or what started the
            processes started another number of them.
    """
    trainer = config.trainer
    world_size = trainer.processes
    by = launcher(config)
    if by == "torchrun" and os.environ["WORLD_SIZE"] != str(world_size):
        raise UserError(
            f"trainer.devices * trainer.num_nodes must be the number of processes that torchrun started, "
            f"{os.environ['WORLD_SIZE']}; received {trainer.devices} * {trainer.num_nodes}; set trainer.devices=N for "
            "N processes on a machine"
        )
    if world_size == 1:
        return Process(0, 1)
    missing = [name for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if trainer.num_nodes > 1 and by == "itself" and missing:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes} needs torchrun, srun with one task per process, or NODE_RANK, "
            f"MASTER_ADDR and MASTER_PORT set on each machine; received none of these (missing: {', '.join(missing)}); "
            "set them, or trainer.num_nodes=1"
        )
    kind = pick_device(trainer.accelerator).type
    available = {"cuda": torch.cuda.device_count(), "cpu": os.cpu_count() or 1}.get(kind, 1)
    if trainer.devices > available:
        raise UserError(
            f"trainer.devices must be at most what this machine has, {available} ({kind}); received {trainer.devices}; "
            f"set trainer.devices={available}"
        )
    check_batch(config)
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ.get("SLURM_LOCALID" if by == "slurm" else "LOCAL_RANK", "0")))
    return Process(_rank(by, trainer.devices), world_size)


def check_batch(config: RunConfig) -> None:
    """Refuses a batch that cannot be divided among the processes.

    Raises:
        UserError: it is no multiple of their number, or leaves each a single image.
    """
    world_size = config.trainer.processes
    if world_size > 1 and config.batch_size % world_size:
        raise UserError(
            f"batch_size counts the images of all processes and must be a multiple of their number, {world_size}; "
            f"received {config.batch_size}; set batch_size={max(2, config.batch_size // world_size) * world_size}"
        )
    if world_size > 1 and config.batch_size == world_size:
        raise UserError(
            f"batch_size must give each process 2 images or more; received {config.batch_size} for {world_size} "
            f"processes; set batch_size={2 * world_size}"
        )


def launcher(config: RunConfig) -> str:
    """Names what starts the processes: torchrun, slurm (srun with one task per process), or the run itself."""
    world_size = config.trainer.processes
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun"
    tasks = os.environ.get("SLURM_NTASKS")
    return (
        "slurm" if world_size > 1 and tasks == str(world_size) and "SLURM_PROCID" in os.environ else "itself"
    )


def cluster(config: RunConfig) -> ClusterEnvironment:
    """Returns what starts the processes, for Lightning, which takes any SLURM job for one that srun started.

    Lightning's own requeueing saves within a step, in a signal's handler; see `ssl_zoo.cluster.requeue` for ours.
    """
    by = launcher(config)
    if by == "slurm":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if by == "torchrun" else LightningEnvironment()


def _rank(by: str, devices: int) -> int:
    if by != "itself":
        return int(os.environ["RANK" if by == "torchrun" else "SLURM_PROCID"])
    return int(os.environ.get("NODE_RANK", "0")) * devices + int(os.environ.get("LOCAL_RANK", "0"))
