"""JSON files, read and written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ssl_zoo.files.writing import write_file

__all__ = ["finite", "load_json", "write_json"]


def load_json(file: Path) -> Any:
    """Reads a JSON file.

    Raises:
        OSError, ValueError: it cannot be read; also where its brackets are nested deeper than Python's stack.
    """
    try:
        return json.loads(file.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file whole or not at all; numbers that are not finite as null."""
    write_file(path, json.dumps(finite(values), indent=2) + "\n")


def finite(value: Any) -> Any:
    """Replaces numbers that are not finite by None: JSON has no nan or infinity."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
