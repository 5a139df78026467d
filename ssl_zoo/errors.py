"""The one exception a user of ssl-zoo meets: wrong input, said in one message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["Interrupted", "Unfinished", "UserError", "suggest", "unknown_name"]


class UserError(ValueError):
    """The user's input is wrong. The message states the rule, the value received and the fix.

    The command line prints it without a traceback and exits with status 2; nothing has been created.
    """


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: a run has stopped between two steps and is saved."""


class Unfinished(Exception):
    """Some of several runs failed; the others are done and reported."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the known name nearest to ``name``, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Builds the error for a look-up that failed: it lists what there is and suggests the nearest."""
    names = sorted(known)
    return UserError(f"unknown {kind} '{name}'; there are {', '.join(names) or 'none'}{suggest(name, names)}")
