"""The options of `python -m ssl_zoo.benchmarks.gpu`, checked before anything is created."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.runs.environment import unmet_requirements

from .session import NAMES

__all__ = ["check", "read", "tests"]


def read(arguments: Sequence[str] | None, description: str | None) -> argparse.Namespace:
    """The options as they are given."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", help=f"some of {','.join(NAMES)}")
    parser.add_argument(
        "--tests", type=Path, help="the checkout's tests; looked for where the shell is and was"
    )
    parser.add_argument("--throughput", type=Path, help="throughput.json of an earlier call, to plan by")
    parser.add_argument("--toy", action="store_true", help="rehearse: a tiny network, on any device")
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> list[str]:
    """The names of the steps.

    Raises:
        UserError: an option is wrong, a package is missing or too old, or there is no GPU.
    """
    if unmet := unmet_requirements():
        raise UserError(
            f"packages that ssl-zoo needs are lacking here: {', '.join(unmet)}; bring them as wheels"
        )
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
    if options.tests is not None and not (options.tests / "gpu").is_dir():
        raise UserError(f"--tests must hold the folder gpu; '{options.tests}' does not; name CHECKOUT/tests")
    chosen = options.only.split(",") if options.only else list(NAMES)
    for name in chosen:
        if name not in NAMES:
            raise unknown_name("step", name, NAMES)
    return [name for name in NAMES if name in chosen]


def tests(given: Path | None) -> Path | None:
    """The tests of the checkout: named, or where the shell is or was before its last `cd`."""
    places = [Path.cwd(), *([Path(os.environ["OLDPWD"])] if "OLDPWD" in os.environ else [])]
    found = [given] if given is not None else [place / "tests" for place in places]
    return next((folder.resolve() for folder in found if (folder / "gpu").is_dir()), None)
