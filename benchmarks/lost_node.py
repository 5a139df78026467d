"""Trains on two nodes, loses one of them, and brings it back: two torchrun agents on this machine, by their ports.

    python -m ssl_zoo.benchmarks.lost_node OUT [--frozen] [key=value ...]

Each agent is a node, with one process of the run, and a process group of its own that `kill -9` ends as a power cut
would end a machine. The other agent meets the loss in its process, and waits; when the node is back, both processes
start again, from the last checkpoint by resume=auto. The run is compared, to the bit, with one that lost nothing.
Exit status 1 if anything differs. With --frozen the node is stopped as a machine that hangs: nothing of it answers, and
the other process waits for trainer.timeout_minutes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .compare_runs import compare_run_dirs

__all__ = ["Outcome", "lose_a_node", "main", "start_node"]

RUN = [
    "method=byol", "data.limit=192", "backbone.name=test_resnet", "augment.size=8", "epochs=8", "batch_size=32",
    "precision=fp32", "method.projector.hidden_dim=32", "method.projector.output_dim=16", "optimizer.warmup_epochs=0",
    "method.predictor.hidden_dim=16", "monitor.every_epochs=100", "monitor.baselines=false", "trainer.threads=1",
    "trainer.progress=false", "trainer.memory_check=false", "trainer.checkpoint_every_steps=2",
]  # fmt: skip
GUARD = 600.0  # seconds after which something hangs: not a measure of speed
COMMAND = ("-m", "ssl_zoo")
# Sharing its store, torchrun brings no new agent into a later round: https://github.com/pytorch/pytorch/issues/135712
SETTINGS = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
NOTICED = b"another process of the training has ended"  # of the message of the process on the node that stays


class Outcome(NamedTuple):
    """What became of the run.

    Attributes:
        statuses: exit statuses of the two agents.
        output: what the agent that stayed, and its process, have written.
        seconds: from the loss to the end of the process on the node that stayed.
    """

    statuses: list[int]
    output: str
    seconds: float


def start_node(
    rank: int, port: int, log: Path, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts torchrun on one of two nodes, with one process, which it may start anew three times.

    Args:
        rank: of the node; that of rank 0 keeps the meeting place.
        port: of the meeting place.
        log: to which the output is appended.
        command: arguments of torchrun after its own.
        environment: further variables.
    """
    agent = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1",
        "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", f"--rdzv-conf=is_host={rank == 0}",
        "--max-restarts=3", "--monitor-interval=0.2",
    ]  # fmt: skip
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*agent, *command],
            env={**os.environ, **SETTINGS, **(environment or {})},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def lose_a_node(
    run: Sequence[str],
    out: Path,
    ready: Callable[[], object] | None,
    command: Sequence[str] = COMMAND,
    environment: Mapping[str, str] | None = None,
    *,
    frozen: bool = False,
) -> Outcome:
    """Trains on two nodes, kills the second one once `ready()`, and starts it again when the first has noticed.

    Args:
        run: overrides, with run_dir.
        out: folder for the nodes' output.
        ready: whether the node may be killed; None: no node is lost.
        command: of torchrun, before `train`; that of the node that is back is the usual one.
        environment: further variables of both nodes at their first start.
        frozen: whether it first hangs, and is killed only when the other has noticed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [
        "train",
        *run,
        "resume=auto",
        "trainer.num_nodes=2",
        "trainer.devices=1",
        "trainer.accelerator=cpu",
    ]
    logs = [out / f"node{rank}.log" for rank in (0, 1)]
    nodes = [start_node(rank, port, logs[rank], [*command, *both], environment) for rank in (0, 1)]
    try:
        seconds = 0.0
        if ready is not None:
            _wait(lambda: ready() or nodes[0].poll() is not None)
            _signal_node(nodes[1], signal.SIGSTOP if frozen else signal.SIGKILL)
            lost = time.monotonic()
            _wait(lambda: NOTICED in logs[0].read_bytes() or nodes[0].poll() is not None)
            seconds = time.monotonic() - lost
            kill_node(nodes[1])
            nodes[1] = start_node(1, port, logs[1], [*COMMAND, *both])
        return Outcome([node.wait(GUARD) for node in nodes], logs[0].read_text(encoding="utf-8"), seconds)
    finally:
        for node in nodes:
            kill_node(node)


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """Kills an agent and its process."""
    _signal_node(node, signal.SIGKILL)
    node.wait()


def _signal_node(node: subprocess.Popen[bytes], number: int) -> None:
    """Signals an agent and its process, which torchrun starts in a session of its own."""
    for pid in (*map(int, _children(node.pid)), node.pid):
        for send in (os.killpg, os.kill):
            with contextlib.suppress(OSError):
                send(pid, number)


def _children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return [
            child
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="utf-8").split()
        ]
    return []


def _wait(what: Callable[[], object]) -> None:
    until = time.monotonic() + GUARD
    while not what():
        if time.monotonic() > until:
            raise TimeoutError("a node hangs")
        time.sleep(0.05)


def main(arguments: Sequence[str]) -> int:
    """Loses a node once; returns 0 if the run then equals one that lost none."""
    frozen = "--frozen" in arguments
    folder, *more = (argument for argument in arguments if argument != "--frozen")
    out = Path(folder)
    (out / "left_alone").mkdir(parents=True, exist_ok=True)
    run = [*RUN, *more]
    outcome = lose_a_node(
        [*run, f"run_dir={out / 'run'}"],
        out,
        lambda: (out / "run" / "checkpoints" / "last.ckpt").exists(),
        frozen=frozen,
    )
    print(
        f"the node that stayed noticed the loss after {outcome.seconds:.1f} s; exit statuses {outcome.statuses}"
    )
    lose_a_node([*run, f"run_dir={out / 'whole'}"], out / "left_alone", None)
    compared = compare_run_dirs(out / "whole", out / "run")
    print(
        f"{compared.tensors} tensors and {compared.events} points compared; differences: {compared.differences}"
    )
    return 0 if outcome.statuses == [0, 0] and not compared.differences else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
