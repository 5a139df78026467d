"""Fifteen minutes on a machine with one GPU, as one command.

    python -m ssl_zoo.benchmarks.gpu --data CIFAR --out DIR --minutes 9

CIFAR is a folder of CIFAR-10's images, with train/ and test/ and a folder per class in each. In this order:

methods      an epoch of each method at full width, in bf16 and in fp32, side by side, and the tests for a GPU
throughput   ssl-zoo, a bare loop, a compiled one and lightly's way, in turns
simsiam      200 epochs, batch 512; then linear evaluation on all labels
more         the other four methods as long, side by side; two more seeds of SimSiam; SimSiam's Figure 2

Each step is a process of its own with a limit; what fails is noted, and the others go on. The time left decides what
is started, the measured throughput how many epochs fit and whether compiling them pays. DIR gets summary.md,
results.json, log.txt, throughput.json, and SimSiam's curves and metrics, as they come. `--toy` rehearses it all on any
machine, with a tiny network.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ssl_zoo.errors import UserError

from .options import check, read, tests
from .session import Session
from .steps import Setting

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks, runs, writes; returns the exit status: 0 also where steps failed, as they are noted."""
    options = read(arguments, __doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all processes are ended
    try:
        chosen = check(options)
    except UserError as error:
        sys.stderr.write(f"ssl-zoo: {error}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="ssl-zoo-gpu-") as work:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        setting = Setting(options.data, Path(work), options.out, tests(options.tests), cores, options.toy)
        session = Session(setting, options.minutes, options.throughput)
        for name in chosen:
            session.step(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
