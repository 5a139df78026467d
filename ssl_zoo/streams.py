"""The process's own stdin, stdout and stderr: closed ones, broken pipes and encodings without our characters."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from ssl_zoo.errors import printable

__all__ = ["complain", "discard", "prepare", "write"]


def prepare() -> None:
    """Makes the streams usable: a closed one (`>&-`) goes nowhere, and stdout prints '?' for what it cannot encode."""
    # In the order of their numbers: an opened file takes the lowest that is free, which is the closed stream's own.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    _reconfigure(sys.stdout)


def _reconfigure(stream: Any) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def discard(stream: TextIO) -> None:
    """Sends what is still written to a stream, also at Python's exit, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def complain(message: str) -> None:
    """Writes a line to stderr, where there is one to write to."""
    try:
        sys.stderr.write(f"ssl-zoo: {printable(message)}\n")
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def write(text: str = "", *, silent: bool = False) -> int:
    """Writes a text, and what stdout still holds; returns the exit status, 1 where the disk is full.

    A reader that has gone away (`ssl-zoo config | head -1`) is no error.

    Args:
        text: what to write.
        silent: whether a full disk was told of before.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            if not silent:
                complain(f"stdout cannot be written to: {error.strerror}")
            return 1
    return 0
