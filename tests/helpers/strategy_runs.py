"""Two processes train whole runs under several strategies; training/test_strategies.py compares what they saved.

    cd tests && python -m helpers.strategy_runs OUT

starts them, as torchrun would, for all runs together: each would take its own start otherwise.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import torch
import torch.multiprocessing as mp
from ssl_zoo.methods.byol import BYOL

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
    "byol": ("byol", *VIT, *ADAMW),
    "moco": ("moco", "method.batch_norm=sync"),
    "swav": ("swav", *VIT, *LARS, "trainer.activation_checkpointing=true"),
    "mocov3": (
        "mocov3", *VIT, *ADAMW, "precision=bf16", "backbone.freeze_patch_embedding=true",
        "trainer.activation_checkpointing=true",
    ),
}  # fmt: skip
STOPPED = "byol"  # stopped at the end of the first of two epochs, and continued under another strategy
STAGES = (("zero1", "fsdp"), ("fsdp", "zero1"), ("fsdp", "ddp"), ("ddp", "zero1"))
STEPS = 3  # of an epoch
MEASURED = ("ddp", "zero1", "fsdp")


def run_of(name: str, strategy: str, out: str) -> list[str]:
    short = ("data.limit=96", "trainer.channels_last=false")
    return overrides(*RUNS[name], *short, *TWO, f"trainer.strategy={strategy}", f"run_dir={out}")


def first_runs(out: str) -> Iterator[tuple[list[str], int]]:
    """Yields the overrides of each run, and the number of steps after which it is stopped, 0 if it isn't."""
    for name in RUNS:
        for strategy in MEASURED:
            yield run_of(name, strategy, f"{out}/{name}-{strategy}"), 0
    for strategy in MEASURED:
        yield run_of(STOPPED, strategy, f"{out}/stopped-{strategy}"), STEPS


def continued_runs(out: str) -> Iterator[tuple[list[str], int]]:
    """Yields the same of the runs that go on in a copy of another's folder, after its first epoch or its training."""
    for first, second in STAGES:
        yield [*run_of(STOPPED, second, f"{out}/{first}-then-{second}"), "resume=auto"], 0
    for strategy in MEASURED:
        yield [*run_of(STOPPED, strategy, f"{out}/{strategy}-then-measured"), "resume=auto"], 0


def copy_runs(out: Path) -> None:
    for first, second in STAGES:
        shutil.copytree(out / f"stopped-{first}", out / f"{first}-then-{second}")
    for strategy in MEASURED:  # as if it had been killed while its encoder was measured
        again = shutil.copytree(out / f"{STOPPED}-{strategy}", out / f"{strategy}-then-measured")
        (again / "result.json").unlink()


def replaced_weights(method: BYOL, progress: Progress) -> None:
    """What no forward pass would read where weights are divided."""
    for parameter in method.encoder.backbone.parameters():
        parameter.data = parameter.data * 0.5


def whole_weights(method: BYOL, progress: Progress) -> None:
    """What a divided tensor cannot take."""
    with torch.no_grad():
        for parameter in method.encoder.backbone.parameters():
            parameter.copy_(torch.zeros(parameter.shape))


PLANTED = {"replaced": replaced_weights, "whole": whole_weights}


def work(rank: int, out: str, continued: bool, ports: Sequence[int]) -> None:
    """One of the two processes, which meet at another port for each run."""
    os.environ.update(
        TORCHELASTIC_RUN_ID="test", RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
    )  # fmt: skip
    runs = list((continued_runs if continued else first_runs)(out))
    for (run, stopped), port in zip(runs, ports, strict=False):
        os.environ["MASTER_PORT"] = str(port)
        if stopped:
            with stopped_after(stopped), contextlib.suppress(Interrupted):
                ssl_zoo.train(run, silent=True)
        else:
            ssl_zoo.train(run, silent=True)
    for (name, planted), port in zip(PLANTED.items(), ports[len(runs) :], strict=False):
        if continued:
            break
        os.environ["MASTER_PORT"] = str(port)
        run = run_of("byol", "fsdp", f"{out}/planted-{name}")
        with mock.patch.object(BYOL, "after_step", planted):
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
    method = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    for continued in (False, True):
        ports = free_ports(len(RUNS) * len(MEASURED) + len(STAGES) + len(MEASURED) + len(PLANTED))
        start = (sys.argv[1], continued, ports)
        mp.start_processes(work, args=start, nprocs=2, start_method=method)  # type: ignore[attr-defined]
        if not continued:
            copy_runs(Path(sys.argv[1]))
