"""Training in several processes: the rank of this one, and the start of the others on this machine.

One command starts them all: the process that the user started has rank zero, and it starts the rest with the
complete configuration once that has been checked. Lightning's own launcher would run the user's script anew,
which a notebook does not have and a test runner must not run. Started by torchrun, or by srun with one task per
process, nothing is started here. With several machines and neither of these, the same command runs on each,
with NODE_RANK, MASTER_ADDR and MASTER_PORT set.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.hardware.device import pick_device
from ssl_zoo.terminal.out_of_memory import out_of_memory_message, reports_out_of_memory

__all__ = ["PREFIX", "Process", "cluster", "launched", "launcher", "this_process"]

PREFIX = "ssl-zoo: "  # of a message to the user
MOMENT = 30.0  # seconds in which a failing process gets to its end, on a busy machine too


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
    if config.batch_size % world_size:
        raise UserError(
            f"batch_size counts the images of all processes and must be a multiple of their number, {world_size}; "
            f"received {config.batch_size}; set batch_size={max(2, config.batch_size // world_size) * world_size}"
        )
    if config.batch_size == world_size:
        raise UserError(
            f"batch_size must give each process 2 images or more; received {config.batch_size} for {world_size} "
            f"processes; set batch_size={2 * world_size}"
        )
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Process(_rank(by, trainer.devices), world_size)


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
    """Returns what starts the processes, for Lightning, which takes any SLURM job for one that srun started."""
    kinds = {"torchrun": TorchElasticEnvironment, "slurm": SLURMEnvironment, "itself": LightningEnvironment}
    environment: ClusterEnvironment = kinds[launcher(config)]()
    return environment


def _rank(by: str, devices: int) -> int:
    if by != "itself":
        return int(os.environ["RANK" if by == "torchrun" else "SLURM_PROCID"])
    return int(os.environ.get("NODE_RANK", "0")) * devices + int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def launched(config: RunConfig) -> Iterator[None]:
    """Runs the other processes of this machine for the time of the block, where nothing else starts them.

    If one of them fails this process ends as well; otherwise it would wait for ever.

    Raises:
        UserError: another process has met an error of the user's, such as a file that cannot be read.
    """
    before = dict(os.environ)
    was_started = "LOCAL_RANK" in os.environ
    starts_none = config.trainer.devices == 1 or was_started or launcher(config) != "itself"
    others = [] if starts_none else _start(config)
    over = threading.Event()
    if others:
        threading.Thread(target=_watch, args=(others, over), daemon=True).start()
    try:
        yield
        _leave_group()
        for other in others:
            other.process.wait(timeout=60)
    except (UserError, Interrupted):
        raise
    except Exception as error:
        over.set()
        if not _is_local(error) and (failure := _failure(others)) is not None:
            raise failure from error
        raise
    finally:
        over.set()
        for other in others:
            other.process.kill()
            other.process.wait()
            other.errors.close()
        _leave_group()
        os.environ.clear()
        os.environ.update(before)


class _Other(NamedTuple):
    """Another process that this one started, with what it wrote to stderr."""

    rank: int
    process: subprocess.Popen[str]
    errors: IO[str]

    def failure(self) -> Exception | None:
        """Returns why it ended, if it ended badly."""
        if self.process.poll() in (None, 0):
            return None
        self.errors.seek(0)
        text = self.errors.read()
        if self.process.returncode == 2:
            return UserError(text.rpartition(PREFIX)[2].strip())
        if self.process.returncode == -9 or reports_out_of_memory(
            text
        ):  # -9: the kernel ends what takes too much
            return MemoryError(
                f"process {self.rank} of the training was refused memory, or was killed for it"
            )
        return RuntimeError(
            f"process {self.rank} of the training ended with status {self.process.returncode}\n{text[-3000:]}"
        )


def _start(config: RunConfig) -> list[_Other]:
    devices = config.trainer.devices
    os.environ.update(_environment(config.trainer.processes))
    command = [sys.executable, "-m", "ssl_zoo.training.further_process", str(os.getpid())]
    others = []
    for rank in range(1, devices):
        errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        process = subprocess.Popen(
            command,
            env={**os.environ, "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=errors,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches rank zero alone, which stops the others
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended already: _watch reports why
            process.stdin.write(json.dumps(to_mapping(config)))
        others.append(_Other(rank, process, errors))
    return others


def _environment(world_size: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return {
        "LOCAL_RANK": "0",
        "NODE_RANK": os.environ.get("NODE_RANK", "0"),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT", port),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }


def _is_local(error: Exception) -> bool:
    """Whether the error is this process's alone. The others then wait for this one and would not end."""
    return isinstance(error, OSError) or out_of_memory_message(error, "train") is not None


def _failure(others: list[_Other]) -> Exception | None:
    """Returns why another process failed, waiting a moment for it; an error of the user's before any other."""
    deadline = time.monotonic() + MOMENT
    while time.monotonic() < deadline and any(other.process.poll() is None for other in others):
        time.sleep(0.1)
    failures = [failure for other in others if (failure := other.failure()) is not None]
    return min(failures, key=lambda failure: not isinstance(failure, UserError), default=None)


def _watch(others: list[_Other], over: threading.Event) -> None:
    """Ends this process, which may wait for a message for ever, when another has failed."""
    while not over.wait(1.0):
        for other in others:
            failure = other.failure()
            if failure is not None and not over.wait(10.0):  # time for the error to come through by itself
                for rest in others:
                    rest.process.kill()
                sys.stderr.write(f"{PREFIX}{failure}\n")
                sys.stderr.flush()
                os._exit(2 if isinstance(failure, UserError) else 1)


def _leave_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
