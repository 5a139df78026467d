"""What a verb prints to stdout at its end: text, or with `--json` one JSON value and nothing else."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ssl_zoo.files.json_files import finite
from ssl_zoo.terminal import streams

__all__ = ["JSON", "nothing_on_stdout", "print_json", "print_text", "take_json"]

JSON = "--json"


def take_json(overrides: Sequence[str]) -> tuple[bool, list[str]]:
    """Returns whether `--json` is among the arguments of a verb, and the others."""
    return JSON in overrides, [override for override in overrides if override != JSON]


@contextlib.contextmanager
def nothing_on_stdout(as_json: bool) -> Iterator[None]:
    """Sends what is printed in the block to stderr, where the result is printed as JSON after it."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def print_json(value: Any) -> None:
    """Prints a value as JSON; numbers that are not finite are null."""
    print_text(json.dumps(finite(value), indent=2, default=str) + "\n")


def print_text(text: str) -> None:
    """Writes to stdout; a full disk ends the process with status 1."""
    if streams.write(text):
        sys.exit(1)
