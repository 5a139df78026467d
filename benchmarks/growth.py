"""What grows with the number of processes and of images, measured in one process.

    python -m ssl_zoo.benchmarks.growth [--methods simsiam simclr] [--processes 1 64 1024] [--images 1000000]

A group of W processes is simulated: this process is one of them, with its part of the batch, and what it would
receive from the others is a copy of its own (torch's fake process group). So time and memory of what a process computes
are real, and what the network would take is not in them; that is given as bytes received, without the gradients, which
are as many for any W. Heads are the papers'. The backbone is tiny: its own time, that of one process, is in the first
column and does not grow. A row of images is the order of one epoch.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from typing import Any

import torch
from torch import distributed

from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.data.rng import permutation
from ssl_zoo.hardware.free_memory import resident
from ssl_zoo.hardware.peak_memory import peak_memory_mb, reset_peak_memory
from ssl_zoo.parts.schedule import Progress

__all__ = ["main", "measure_order", "measure_step"]

METHODS = ("simsiam", "byol", "simclr", "moco", "swav", "mocov3", "nnclr", "dino", "vicreg")
PROCESSES = (1, 8, 64, 512, 1024)
IMAGES = (10**5, 10**6, 10**7)
BATCH = 256  # images of a process
BASE = (
    "data=digits",
    "recipe=null",
    "backbone.name=test_resnet",
    "augment.size=8",
)  # the backbone is to take no time
CPU = torch.device("cpu")


def main() -> int:
    """Prints two tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--batch", type=int, default=BATCH, help="images of each process")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a process of its own: METHOD:PROCESSES
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        method, _, processes = arguments.one.partition(":")
        print(json.dumps(measure_step(method, int(processes), arguments.batch)))
        return 0
    print(f"\n| CPU ms / MiB / MiB received | {' | '.join(f'{count:,}' for count in arguments.processes)} |")
    print(f"|---|{'---:|' * len(arguments.processes)}")
    for method in arguments.methods:
        steps = [_apart(method, count, arguments.batch) for count in arguments.processes]
        cells = [
            "killed" if step is None else f"{step['ms']:.0f} / {step['mb']:.0f} / {step['received_mb']:.1f}"
            for step in steps
        ]
        print(f"| {method} | {' | '.join(cells)} |", flush=True)
    print("\n| images | order of an epoch, CPU s | MiB |\n|---:|---:|---:|")
    for count in arguments.images:
        seconds, megabytes = measure_order(count)
        print(f"| {count:,} | {seconds:.2f} | {megabytes:.0f} |", flush=True)
    return 0


def _apart(method: str, processes: int, batch: int) -> dict[str, float] | None:
    """Measures in a process of its own, so that nothing is left of what was measured before; None: it was killed."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
    done = subprocess.run(
        [*command, f"--one={method}:{processes}", f"--batch={batch}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode < 0:  # by the system, as memory was short
        return None
    done.check_returncode()
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_step(name: str, processes: int, batch: int) -> dict[str, float]:
    """Measures a step of one of so many processes.

    Args:
        name: of a method.
        processes: of the simulated group.
        batch: images of each process.

    Returns:
        CPU time in ms, peak memory above that before the step, and bytes received from the others, both in MiB.
    """
    config = compose([f"method={name}", *BASE, f"batch_size={batch}"])
    method, _ = build(config, config.data.channels)
    method.allocate(batch * processes)
    method.train()
    views = [torch.rand(batch, config.data.channels, view.size, view.size) for view in config.views]
    index, progress = torch.arange(batch), Progress(0, 10, 5)

    def step() -> None:
        method.zero_grad()
        method.before_step(progress)
        torch.autograd.backward(method.loss(views, index).loss)
        method.after_backward(progress)
        method.after_step(progress)

    received = _simulate(processes)
    step()
    gc.collect()
    received.clear()
    reset_peak_memory()
    before, started = resident() / 2**20, time.process_time()
    step()
    milliseconds = 1000 * (time.process_time() - started)
    distributed.destroy_process_group()
    return {"ms": milliseconds, "mb": peak_memory_mb(CPU) - before, "received_mb": sum(received) / 2**20}


def _simulate(processes: int) -> list[int]:
    """Makes this process the first of so many; returns a list to which the bytes of each collective are added."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", rank=0, world_size=processes, store=FakeStore())
    received: list[int] = []
    gather, reduce, exchange = distributed.all_gather, distributed.all_reduce, distributed.all_to_all_single

    def counted_gather(output: list[torch.Tensor], part: torch.Tensor, *others: Any, **named: Any) -> Any:
        received.append((processes - 1) * part.nbytes)
        for tensor in output:
            tensor.copy_(part)  # values, so that none is infinite
        return gather(output, part, *others, **named)

    def counted_reduce(tensor: torch.Tensor, *others: Any, **named: Any) -> Any:
        received.append(2 * tensor.nbytes * (processes - 1) // processes)  # of a ring
        return reduce(tensor, *others, **named)

    def counted_exchange(output: torch.Tensor, rows: torch.Tensor, *others: Any, **named: Any) -> Any:
        received.append(output.nbytes)
        output.copy_(rows)
        return exchange(output, rows, *others, **named)

    for name, counted in (
        ("all_gather", counted_gather), ("all_reduce", counted_reduce), ("all_to_all_single", counted_exchange)
    ):  # fmt: skip
        setattr(distributed, name, counted)
    return received


def measure_order(images: int) -> tuple[float, float]:
    """Returns the CPU seconds that the order of an epoch takes, and its peak memory in MiB."""
    gc.collect()
    reset_peak_memory()
    before, started = resident() / 2**20, time.process_time()
    permutation(images, 0, "order", 0)
    return time.process_time() - started, peak_memory_mb(CPU) - before


if __name__ == "__main__":
    sys.exit(main())
