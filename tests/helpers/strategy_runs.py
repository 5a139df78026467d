"""Two processes train whole runs under several strategies; training/test_strategies.py compares what they saved.

    cd tests && python -m helpers.strategy_runs OUT

starts them, as torchrun would, for all runs together: each would take its own start otherwise.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import torch
import torch.multiprocessing as mp
from ssl_zoo.methods.simsiam import SimSiam

import ssl_zoo
from helpers.runs import overrides
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.testing.stopping import stopped_after

TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.threads=1", "monitor.baselines=false")
VIT = ("backbone.name=test_vit", "backbone.stem=standard", "augment.size=16")
ADAMW = ("optimizer.name=adamw", "optimizer.lr=1e-3", "optimizer.lr_scaling=none")
LARS = ("optimizer.name=lars", "trainer.accumulate=2", "optimizer.clip_grad_norm=0.5")
RUNS = {
    "simsiam": ("simsiam", *VIT, "trainer.accumulate=2", "trainer.activation_checkpointing=true"),
    "byol": ("byol", *VIT, *ADAMW),
    "moco": ("moco", "method.batch_norm=sync"),
    "swav": ("swav", *VIT, *LARS),
    "mocov3": (
        "mocov3", *VIT, *ADAMW, "precision=bf16", "backbone.freeze_patch_embedding=true",
        "trainer.activation_checkpointing=true",
    ),
}  # fmt: skip
STOPPED = "byol"  # stopped at the end of the first of two epochs, and continued under another strategy
STAGES = (("zero1", "fsdp"), ("fsdp", "zero1"), ("fsdp", "ddp"), ("ddp", "zero1"))
STEPS = 3  # of an epoch
MEASURED = ("ddp", "zero1", "fsdp")  # stopped when the training has ended, before its encoder is measured


def run_of(name: str, strategy: str, out: str) -> list[str]:
    short = ("data.limit=96", "trainer.channels_last=false")
    return overrides(*RUNS[name], *short, *TWO, f"trainer.strategy={strategy}", f"run_dir={out}")


def all_runs(out: str) -> Iterator[tuple[list[str], int]]:
    """Yields the overrides of each run, and the number of steps after which it is stopped, 0 if it isn't."""
    for name in RUNS:
        for strategy in ("ddp", "zero1", "fsdp"):
            yield run_of(name, strategy, f"{out}/{name}-{strategy}"), 0
    for first, second in STAGES:
        folder = f"{out}/{first}-then-{second}"
        yield run_of(STOPPED, first, folder), STEPS
        yield [*run_of(STOPPED, second, folder), "resume=auto"], 0
    for strategy in MEASURED:
        run = run_of(STOPPED, strategy, f"{out}/{strategy}-then-measured")
        yield run, 2 * STEPS
        yield [*run, "resume=auto"], 0


def replaced_weights(method: SimSiam, progress: Progress) -> None:
    """What no forward pass would read where weights are divided."""
    for parameter in method.encoder.backbone.parameters():
        parameter.data = parameter.data * 0.5


def whole_weights(method: SimSiam, progress: Progress) -> None:
    """What a divided tensor cannot take."""
    with torch.no_grad():
        for parameter in method.encoder.backbone.parameters():
            parameter.copy_(torch.zeros(parameter.shape))


PLANTED = {"replaced": replaced_weights, "whole": whole_weights}


def work(rank: int, out: str, ports: Sequence[int]) -> None:
    """One of the two processes, which meet at another port for each run."""
    os.environ.update(
        TORCHELASTIC_RUN_ID="test", RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
    )  # fmt: skip
    runs = list(all_runs(out))
    for (run, stopped), port in zip(runs, ports, strict=False):
        os.environ["MASTER_PORT"] = str(port)
        if stopped:
            with stopped_after(stopped), contextlib.suppress(Interrupted):
                ssl_zoo.train(run, silent=True)
        else:
            ssl_zoo.train(run, silent=True)
    for (name, planted), port in zip(PLANTED.items(), ports[len(runs) :], strict=True):
        os.environ["MASTER_PORT"] = str(port)
        run = run_of("simsiam", "fsdp", f"{out}/planted-{name}")
        with mock.patch.object(SimSiam, "after_step", planted):
            try:
                ssl_zoo.train(run, silent=True)
            except UserError as error:
                Path(out, f"{name}-{rank}.txt").write_text(str(error))


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]


if __name__ == "__main__":
    ports = free_ports(len(list(all_runs(""))) + len(PLANTED))
    start = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    mp.start_processes(work, args=(sys.argv[1], ports), nprocs=2, start_method=start)  # type: ignore[attr-defined]
