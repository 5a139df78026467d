"""The JSON files that a run leaves, and of what type each key in them is.

Whoever reads such a file relies on these types. A file that somebody has edited, or that belongs to another program, is
found out here, once, and is then as good as none.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

__all__ = ["load_json", "read_record"]

# Keys that all readers can do without are None where they are absent; further keys are anything.
EVALUATION: dict[str, Any] = {
    "kind": str,
    "in_words": str,
    "encoder": dict[str, Any],
    "data": dict[str, Any],
    "metric": str,
    "top1": float,
    "top1_std": float,
    "rows": list[dict[str, Any]],
    "seconds": float,
    "settings": dict[str, Any],
    "overrides": list[str],
}
ENVIRONMENT: dict[str, Any] = {"command": list[str], "versions": dict[str, str], "git_commit": str}
COST: dict[str, Any] = {"seconds": float, "passes_per_image": float}


def load_json(file: Path) -> Any:
    """Reads a JSON file.

    Raises:
        OSError, ValueError: it cannot be read; also where its brackets are nested deeper than Python's stack.
    """
    try:
        return json.loads(file.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_record(file: Path) -> dict[str, Any] | None:
    """Reads a JSON file of a run; None where there is none, or none of ours.

    Args:
        file: result.json, environment.json, cost.json or eval-*.json; of another name it may hold any block of keys.
    """
    try:
        found = load_json(file)
        if not isinstance(found, dict):
            return None
        _shape(file.name.partition("-")[0]).model_validate_json(json.dumps(found))
    except (OSError, ValueError, RecursionError):  # UnicodeDecodeError and ValidationError are ValueErrors
        return None
    return found


@lru_cache
def _shape(kind: str) -> type[BaseModel]:
    """The types of a file's keys as a model, which takes None and absent keys as well."""
    if kind == "result.json":
        from ssl_zoo.runs.result import Result  # which imports torch

        hints = Result.key_types()
    else:
        hints = {"eval": EVALUATION, "environment.json": ENVIRONMENT, "cost.json": COST}.get(kind, {})
    config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    fields: dict[str, Any] = {name: (hint | None, None) for name, hint in hints.items()}
    model: type[BaseModel] = create_model(kind, __config__=config, **fields)
    return model
