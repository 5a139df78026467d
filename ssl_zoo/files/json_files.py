"""JSON files, read and written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ssl_zoo.files.writing import write_file

__all__ = ["load_json", "write_json"]


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
    write_file(path, json.dumps(_finite(values), indent=2) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no nan or infinity: null, never an invented number."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
