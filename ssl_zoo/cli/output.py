"""What a verb prints to stdout at its end."""

from __future__ import annotations

import sys

from ssl_zoo.terminal import streams

__all__ = ["print_text"]


def print_text(text: str) -> None:
    """Writes to stdout; a full disk ends the process with status 1."""
    if streams.write(text):
        sys.exit(1)
