"""Fifteen minutes on a machine with one GPU, as one command.

    python -m ssl_zoo.benchmarks.gpu --data CIFAR --out DIR --minutes 9

CIFAR is a folder of CIFAR-10's images, with train/ and test/ and a folder per class in each. In this order:

methods      an epoch of each method at full width, in bf16 and in fp32, at the same time, and the tests for a GPU
throughput   ssl-zoo, a bare loop, a compiled one and lightly's way, in turns
large        JPEGs of 500 x 375: decoding on GPU and CPU, and how long a ResNet-50 waits for them
simsiam      200 epochs, batch 512; then linear evaluation on all labels
more         the other four methods as long, at the same time; two more seeds of SimSiam; SimSiam's Figure 2

Each step is a separate process with a time limit; if one fails, the others go on. The time left decides what is
started, the measured throughput how many epochs fit and whether compiling saves time. DIR gets summary.md,
results.json, log.txt, throughput.json, large_images.json, and SimSiam's curves and metrics, after each step. `--toy`
rehearses all steps on any machine, with a tiny network.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.run_dir.environment import unmet_requirements

from .plan import read_throughput
from .session import NAMES, Session
from .steps import Setting

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks, runs, writes; returns the exit status: 0 also where steps failed, which the summary notes."""
    options = parse_options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all processes are ended
    try:
        chosen = check_options(options)
    except UserError as error:
        sys.stderr.write(f"ssl-zoo: {error}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="ssl-zoo-gpu-") as folder:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        setting = Setting(
            options.data, Path(folder), options.out, find_tests(options.tests), cores, options.toy
        )
        session = Session(setting, options.minutes, options.throughput)
        for name in chosen:
            session.step(name)
    return 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options as given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", help=f"some of {','.join(NAMES)}")
    parser.add_argument(
        "--tests", type=Path, help="the checkout's tests; searched where the shell is and was"
    )
    parser.add_argument("--throughput", type=Path, help="throughput.json of an earlier call, for planning")
    parser.add_argument("--toy", action="store_true", help="rehearse: a tiny network, on any device")
    return parser.parse_args(arguments)


def check_options(options: argparse.Namespace) -> list[str]:
    """Checks the options and returns the names of the steps.

    Raises:
        UserError: an option is wrong, a package is missing or too old, or there is no GPU.
    """
    if unmet := unmet_requirements():
        raise UserError(f"ssl-zoo lacks packages here: {', '.join(unmet)}; bring them as wheels")
    if not torch.cuda.is_available() and not options.toy:
        raise UserError("this needs a CUDA GPU, and torch finds none here; rehearse with --toy")
    for part in ("train", "test"):
        if not (options.data / part).is_dir():
            raise UserError(
                f"--data must have the folders train and test; '{options.data}' has no '{part}'; name another"
            )
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise UserError(f"--out must be a new or empty folder; '{options.out}' is neither; choose another")
    if options.minutes < 1:
        raise UserError(f"--minutes must be at least 1; received {options.minutes:g}; give it more")
    for key, file in (("--tests", options.tests), ("--throughput", options.throughput)):
        if file is not None and not file.exists():
            raise UserError(f"{key} must be there; '{file}' is not; leave it out, or name another")
    if options.throughput is not None:
        read_throughput(options.throughput)
    if options.tests is not None and not (options.tests / "gpu").is_dir():
        raise UserError(f"--tests must hold the folder gpu; '{options.tests}' does not; name CHECKOUT/tests")
    chosen = options.only.split(",") if options.only else list(NAMES)
    for name in chosen:
        if name not in NAMES:
            raise unknown_name("step", name, NAMES)
    return [name for name in NAMES if name in chosen]


def find_tests(given: Path | None) -> Path | None:
    """Returns the tests of the checkout: named, or where the shell is or was before its last `cd`."""
    checkouts = [Path.cwd(), *([Path(os.environ["OLDPWD"])] if "OLDPWD" in os.environ else [])]
    folders = [given] if given is not None else [checkout / "tests" for checkout in checkouts]
    return next((folder.resolve() for folder in folders if (folder / "gpu").is_dir()), None)


if __name__ == "__main__":
    sys.exit(main())
