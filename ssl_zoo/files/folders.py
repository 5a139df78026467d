"""Folders to write to: created, checked before anything is computed, and removed again where they stay empty."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from ssl_zoo.errors import UserError

__all__ = ["check_writable", "make_folder", "remove_empty", "why_not_writable"]


ATTEMPTS = 3  # at making a folder, while other processes remove empty ones above it


def make_folder(folder: Path) -> list[Path]:
    """Creates a folder with those above it, and returns the ones that were not there, the innermost first.

    Raises:
        OSError: a folder cannot be created or written to; `filename` is that one, and nothing stays behind.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):  # a folder above it was there a moment ago
            return _make(folder)
    return _make(folder)


def _make(folder: Path) -> list[Path]:
    created: list[Path] = []
    try:
        for path in reversed((folder, *folder.parents)):
            if not os.path.isdir(path):  # unlike Path.is_dir, whatever the name is
                try:
                    path.mkdir()
                    created.insert(0, path)
                except FileExistsError:
                    if not os.path.isdir(path):  # else another process has just created it
                        raise
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(folder))
    except BaseException:
        remove_empty(created)
        raise
    return created


def remove_empty(folders: Sequence[Path]) -> None:
    """Removes folders, those that are empty."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def why_not_writable(folder: Path) -> str | None:
    """Returns why a folder cannot be written to or created, such as "'PATH' is a file"; None if it can.

    It is tried: a folder that isn't there is created and removed again.
    """
    try:
        remove_empty(make_folder(folder))
    except ValueError:  # a NUL character
        return "its name is none that a folder can have"
    except FileExistsError as error:
        return f"'{error.filename}' is a file"
    except OSError as error:
        problem = "is not writable" if error.errno == errno.EACCES else f"cannot be made: {error.strerror}"
        return f"'{error.filename}' {problem}"
    return None


def check_writable(folder: Path, rule: str, fix: str, received: Path | None = None) -> None:
    """Refuses a folder that nothing can be written to, or that cannot be created.

    Args:
        folder: what is tried.
        rule: what was asked for, for the message.
        fix: what to do instead.
        received: what the user named, if not the folder itself.

    Raises:
        UserError: with the rule, what was received, why it does not do, and the fix.
    """
    if (reason := why_not_writable(folder)) is not None:
        raise UserError(f"{rule}; received '{received or folder}', and {reason}; {fix}")
