"""Whether a folder can be written to, asked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["why_not_writable"]


def why_not_writable(folder: Path) -> str | None:
    """Why nothing can be written to a folder, or made where it will be: "'PLACE' is a file"; None: it can.

    The place is the folder itself or, where it isn't there yet, the nearest above it that is.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return None
    return f"'{there}' is {'not writable' if there.is_dir() else 'a file'}"
