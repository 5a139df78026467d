"""Exceptions for users of ssl-zoo, and the wording of their messages."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

__all__ = [
    "DiskError",
    "Interrupted",
    "ProcessLost",
    "Requeued",
    "Unfinished",
    "UserError",
    "describe_os_error",
    "printable",
    "shortened",
    "shown",
    "suggest",
    "unknown_name",
]

# Characters at most: of a message, and of a stretch without spaces in it, such as a name or a number.
MESSAGE, STRETCH = 4000, 300
SPACE, FOLDER = "free some space, or write to another disk", "write to another folder"
ADVICE = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: SPACE,
    errno.EROFS: FOLDER,
    errno.EACCES: FOLDER,
    errno.EPERM: FOLDER,
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "what was there is gone; put it back, or start again",
}


class UserError(ValueError):
    """The user's input is wrong. The message states the rule, the value received and the fix.

    The command line prints it without a traceback and exits with status 2; nothing has been created. Whatever was
    received, the message is at most 4,000 characters long and has no control characters but line breaks.
    """

    def __init__(self, message: str) -> None:
        phrases = re.sub(
            rf"\S{{{STRETCH + 1},}}", lambda phrase: shortened(phrase[0], STRETCH), printable(message)
        )
        super().__init__(shortened(phrases, MESSAGE))


class Interrupted(BaseException):
    """Ctrl-C or a scheduler's signal: the run has stopped between two steps; if training had begun, it is saved.

    Attributes:
        number: of the scheduler's signal; 0 for Ctrl-C.
    """

    def __init__(self, message: str = "", number: int = 0) -> None:
        super().__init__(message)
        self.number = number


class Requeued(Interrupted):
    """The run is saved, and its job is in the queue again; without a message in all processes but that of rank zero."""


class DiskError(OSError):
    """Error of the disk, with a note on which results are kept."""

    def __init__(self, error: OSError, kept: str) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.kept = kept


class Unfinished(Exception):
    """Failure of some of several runs; the others are done and reported."""


class ProcessLost(Exception):
    """Another process of a training has ended, or does not answer any more."""


def printable(text: str) -> str:
    """Escapes control characters, which would steer the terminal, and all else that cannot be shown (`\\x1b`)."""
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, longest: int) -> str:
    """Leaves out the middle of a text longer than `longest` characters, and notes how many are missing."""
    if len(text) <= longest:
        return text
    note = f"...({len(text) - longest} characters left out)..."
    head = max(0, 2 * (longest - len(note)) // 3)
    tail = max(0, longest - len(note) - head)
    return f"{text[:head]}{note}{text[len(text) - tail :]}"


def describe_os_error(error: OSError) -> str:
    """Describes an error of the disk or the system in one line: the file, the reason, and the fix."""
    where = "" if error.filename is None else f"'{error.filename}': "
    more = (ADVICE.get(error.errno or 0), getattr(error, "kept", None))
    return "; ".join([f"{where}{error.strerror or error}", *filter(None, more)])


def shown(value: object) -> str:
    """Returns a received value for a message: its repr, shortened."""
    try:
        return shortened(repr(value), STRETCH)
    except (ValueError, RecursionError):  # an integer of more than 4,300 digits; deeply nested
        return f"a {type(value).__name__} that is too long to show"


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the known name nearest to ``name``, or an empty string."""
    nearest = [] if len(name) > STRETCH else difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Builds the error for an unknown name: it lists the known ones and suggests the nearest."""
    names = sorted(known)
    return UserError(f"unknown {kind} '{name}'; there are {', '.join(names) or 'none'}{suggest(name, names)}")
