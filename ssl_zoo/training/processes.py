"""Training in several processes: which of them this one is, and starting the others on this machine.

One command starts them all: the process that the user started is the first, and it starts the rest with the
complete configuration once that has been checked. Lightning's own launcher would run the user's script anew,
which a notebook has not and a test runner must not. Started by torchrun, or by srun with one task per
process, nothing is started here. With several machines and neither of these, the same command runs on each,
with NODE_RANK, MASTER_ADDR and MASTER_PORT set.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from ssl_zoo.config import from_mapping, to_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.schema import RunConfig
from ssl_zoo.training.hardware import pick_device

__all__ = ["Place", "follow", "place", "started"]


class Place(NamedTuple):
    """Which process this is."""

    rank: int
    world: int

    @property
    def first(self) -> bool:
        """Whether it is the one that measures, writes and speaks."""
        return self.rank == 0


def place(config: RunConfig) -> Place:
    """This process's place among those that the configuration asks for.

    Raises:
        UserError: there are not so many devices, or the batch cannot be divided among them.
    """
    trainer = config.trainer
    world = trainer.devices * trainer.num_nodes
    if world == 1:
        return Place(0, 1)
    kind = pick_device(trainer.accelerator).type
    there = {"cuda": torch.cuda.device_count(), "cpu": os.cpu_count() or 1}.get(kind, 1)
    if trainer.devices > there:
        raise UserError(
            f"trainer.devices must be at most what this machine has, {there} ({kind}); received {trainer.devices}; "
            f"set trainer.devices={there}"
        )
    if config.batch_size % world:
        raise UserError(
            f"batch_size counts the images of all processes and must be a multiple of their number, {world}; received "
            f"{config.batch_size}; set batch_size={max(2, config.batch_size // world) * world}"
        )
    if config.batch_size == world:
        raise UserError(
            f"batch_size must give each process 2 images or more; received {config.batch_size} for {world} "
            f"processes; set batch_size={2 * world}"
        )
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Place(_rank(trainer.devices, world), world)


def _rank(devices: int, world: int) -> int:
    environment = os.environ
    if "RANK" in environment:  # torchrun
        return int(environment["RANK"])
    if environment.get("SLURM_NTASKS") == str(world) and "SLURM_PROCID" in environment:
        return int(environment["SLURM_PROCID"])
    node = environment.get("NODE_RANK", environment.get("GROUP_RANK", "0"))
    return int(node) * devices + int(environment.get("LOCAL_RANK", "0"))


@contextmanager
def started(config: RunConfig) -> Iterator[None]:
    """Runs the other processes of this machine for the time of the block, where nothing else has started them.

    If one of them fails this process ends as well, with status 1: waiting for it would have no end.
    """
    devices, world = config.trainer.devices, config.trainer.devices * config.trainer.num_nodes
    elsewhere = "LOCAL_RANK" in os.environ or os.environ.get("SLURM_NTASKS") == str(world)
    if devices == 1 or elsewhere:
        try:
            yield
        finally:
            _leave_group()
        return
    before = dict(os.environ)
    os.environ.update(_environment(devices, world))
    command = [sys.executable, "-m", "ssl_zoo.training.follower"]
    others = [
        subprocess.Popen(
            command,
            env={**os.environ, "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the first process alone, which tells the others
        )
        for rank in range(1, devices)
    ]
    for other in others:
        assert other.stdin is not None
        with other.stdin:
            other.stdin.write(json.dumps(to_mapping(config)))
    over = threading.Event()
    threading.Thread(target=_watch, args=(others, over), daemon=True).start()
    try:
        yield
        _leave_group()
        for other in others:
            other.wait(timeout=60)
    finally:
        over.set()
        for other in others:
            other.kill()
            other.wait()
        _leave_group()
        os.environ.clear()
        os.environ.update(before)


def _environment(devices: int, world: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here = os.environ
    return {
        "LOCAL_RANK": "0",
        "NODE_RANK": here.get("NODE_RANK", "0"),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": here.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": here.get("MASTER_PORT", port),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }


def _watch(others: list[subprocess.Popen[str]], over: threading.Event) -> None:
    while not over.wait(1.0):
        for number, other in enumerate(others, 1):
            if other.poll() not in (None, 0):
                message = f"ssl-zoo: process {number} of the training ended with status {other.returncode}\n"
                sys.stderr.write(message)
                sys.stderr.flush()
                for rest in others:
                    rest.kill()
                os._exit(1)


def _leave_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def follow() -> None:
    """What a started process does: takes its part in the run whose configuration comes through stdin."""
    config = from_mapping(json.load(sys.stdin))
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    from ssl_zoo.errors import Interrupted
    from ssl_zoo.training.run import run

    try:
        run(config, silent=True)
    except Interrupted:
        sys.exit(0)  # agreed upon by all


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
