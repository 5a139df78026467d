"""Checks of the paths that users give."""

from __future__ import annotations

from pathlib import Path

from ssl_zoo.errors import UserError, shown

__all__ = ["NAME", "check_path", "user_path"]

# Bytes, of a whole path and of one name in it: what Linux and macOS take.
PATH, NAME = 4095, 255


def check_path(text: str) -> str:
    """Returns the text, if it can be a path on any system.

    Raises:
        ValueError: it is blank, too long, holds control characters, or begins with the home of an unknown user.
    """
    size = len(text.encode(errors="surrogateescape"))
    longest = max(len(name.encode(errors="surrogateescape")) for name in text.split("/"))
    wrong = f"received {shown(text)}; name another"
    if not text.strip():
        raise ValueError(f"must be a path, which is not blank; {wrong}")
    if size > PATH or longest > NAME:
        raise ValueError(f"must be a path of at most {PATH} bytes, each name in it of {NAME}; {wrong}")
    if any(ord(char) < 32 or ord(char) == 127 or "\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(f"must be a path without control characters; {wrong}")
    try:
        Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"must be a path; its user has no home folder; {wrong}") from error
    return text


def user_path(text: str, key: str) -> Path:
    """The path that a user gave for `key`, `~` expanded.

    Raises:
        UserError: it can be none; see `check_path`.
    """
    try:
        return Path(check_path(text)).expanduser()
    except ValueError as error:
        raise UserError(f"{key} {error}") from error
