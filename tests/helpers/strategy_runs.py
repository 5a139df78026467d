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

import torch.multiprocessing as mp

import ssl_zoo
from helpers.runs import overrides
from ssl_zoo.errors import Interrupted
from ssl_zoo.testing.stopping import stopped_after

TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.threads=1", "monitor.baselines=false")
VIT = ("backbone.name=test_vit", "backbone.stem=standard", "augment.size=16")
LARS = ("optimizer.name=lars", "trainer.accumulate=2", "optimizer.clip_grad_norm=0.5")
RUNS = {
    "byol": ("byol", *VIT, "optimizer.name=adamw", "optimizer.lr=1e-3", "optimizer.lr_scaling=none"),
    "moco": ("moco", "method.batch_norm=sync"),
    "swav": ("swav", *VIT, *LARS),
}
STRATEGIES = ("ddp", "zero1")
STOPPED = "byol"  # stopped at the end of the first of two epochs, and continued under another strategy
STEPS = 5  # of an epoch


def run_of(name: str, strategy: str, out: str) -> list[str]:
    return overrides(*RUNS[name], *TWO, f"trainer.strategy={strategy}", f"run_dir={out}")


def all_runs(out: str) -> Iterator[tuple[list[str], bool]]:
    """Yields the overrides of each run, and whether it is stopped after its first epoch."""
    for name in RUNS:
        for strategy in STRATEGIES:
            yield run_of(name, strategy, f"{out}/{name}-{strategy}"), False
    for strategy in STRATEGIES[1:]:
        for first, second in ((strategy, "ddp"), ("ddp", strategy), (strategy, strategy)):
            folder = f"{out}/{first}-then-{second}"
            yield run_of(STOPPED, first, folder), True
            yield [*run_of(STOPPED, second, folder), "resume=auto"], False


def work(rank: int, out: str, ports: Sequence[int]) -> None:
    """One of the two processes, which meet at another port for each run."""
    os.environ.update(
        TORCHELASTIC_RUN_ID="test", RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
    )  # fmt: skip
    for (run, stopped), port in zip(all_runs(out), ports, strict=True):
        os.environ["MASTER_PORT"] = str(port)
        if stopped:
            with stopped_after(STEPS), contextlib.suppress(Interrupted):
                ssl_zoo.train(run, silent=True)
        else:
            ssl_zoo.train(run, silent=True)


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]


if __name__ == "__main__":
    ports = free_ports(len(list(all_runs(""))))
    start = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    mp.start_processes(work, args=(sys.argv[1], ports), nprocs=2, start_method=start)  # type: ignore[attr-defined]
