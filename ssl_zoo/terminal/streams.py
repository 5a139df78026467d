"""The process's stdin, stdout, stderr and exit status.

Closed streams, broken pipes and encodings without our characters end nothing; of an error the user reads one line.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from ssl_zoo.errors import (
    Interrupted,
    ProcessLost,
    Requeued,
    Unfinished,
    UserError,
    describe_os_error,
    printable,
)
from ssl_zoo.terminal.out_of_memory import out_of_memory_message
from ssl_zoo.terminal.plain import PLAIN

__all__ = ["REQUEUED", "discard", "exit_status", "open_streams", "write", "write_plainly"]

REQUEUED = 75  # exit status of a run whose job is in the queue again: EX_TEMPFAIL of sysexits.h


def open_streams() -> None:
    """Makes the streams usable: a closed one (`>&-`) goes nowhere, and what one cannot encode is written plainly."""
    # In the order of their numbers: an opened file takes the lowest that is free, which is the closed stream's own.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        write_plainly(stream)


def write_plainly(stream: Any) -> None:
    """Has a stream write in plain letters what its encoding has not, where it can be told so."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=PLAIN)


def discard(stream: TextIO) -> None:
    """Sends what is still written to a stream, also at Python's exit, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def exit_status(error: BaseException, verb: str) -> int:
    """Returns the exit status of a process that an error ends: 2 wrong input, 75 saved and requeued, 1 anything else.

    The message of an error about which a user can do something is written to stderr, in one line.

    Args:
        error: whatever was raised.
        verb: of the command line, whose keys the message proposes where memory runs out.

    Raises:
        BaseException: the error itself, where a user can do nothing about it.
    """
    if isinstance(error, KeyboardInterrupt):
        message: str | None = "stopped"
    elif isinstance(error, (UserError, Interrupted, Unfinished, ProcessLost)):
        message = str(error)
    elif isinstance(error, Exception):
        # Memory that ran out, whoever noticed it; or a full or broken disk, whichever file it met first.
        message = out_of_memory_message(error, verb)
        if message is None and isinstance(error, OSError):
            message = describe_os_error(error)
    else:
        message = None
    if message is None:
        raise error
    if message:
        _complain(message)
    if isinstance(error, Requeued):
        return REQUEUED if message else 0
    return 2 if isinstance(error, UserError) else 1


def _complain(message: str) -> None:
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
        silent: whether a full disk has been reported before.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        discard(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            if not silent:
                _complain(f"stdout cannot be written to: {error.strerror}")
            return 1
    return 0
