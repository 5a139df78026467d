"""The records of a run, read back: result.json, eval-*.json, environment.json.

Whoever reads one relies on the types of its keys. A file that somebody has edited, or that belongs to another program,
is noticed here, once, and is then as good as none.
"""

from __future__ import annotations

import json
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from ssl_zoo.files.json_files import load_json
from ssl_zoo.run_dir.result import Result

__all__ = [
    "read_environment",
    "read_evaluations",
    "read_record",
    "typed_command",
]

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


def read_record(file: Path) -> dict[str, Any] | None:
    """Reads a JSON file of a run; None where there is none, or none of ours.

    Args:
        file: result.json, environment.json, cost.json or eval-*.json; of another name it may hold any block of keys.
    """
    try:
        values = load_json(file)
        if not isinstance(values, dict):
            return None
        _shape(file.name.partition("-")[0]).model_validate_json(json.dumps(values))
    except (OSError, ValueError, RecursionError):  # UnicodeDecodeError and ValidationError are ValueErrors
        return None
    return values


@lru_cache
def _shape(kind: str) -> type[BaseModel]:
    """The types of a file's keys as a model, which takes None and absent keys as well."""
    if kind == "result.json":
        hints = Result.key_types()
    else:
        hints = {"eval": EVALUATION, "environment.json": ENVIRONMENT, "cost.json": COST}.get(kind, {})
    config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    fields: dict[str, Any] = {name: (hint | None, None) for name, hint in hints.items()}
    model: type[BaseModel] = create_model(kind, __config__=config, **fields)
    return model


def read_evaluations(folder: Path) -> list[dict[str, Any]]:
    """Returns the records of eval-*.json, by name; one that cannot be read is `{"file", "error"}`."""
    records = []
    for file in sorted(folder.glob("eval-*.json")):
        record = read_record(file)
        records.append({"error": "cannot be read"} if record is None else record)
        records[-1]["file"] = file.name
    return records


def read_environment(folder: Path) -> dict[str, Any]:
    """Returns what environment.json holds, or nothing."""
    return read_record(folder / "environment.json") or {}


def typed_command(environment: dict[str, Any]) -> str | None:
    """Returns the command line that began a run, as it is typed; None for a run begun from Python."""
    overrides = environment.get("command")
    if not isinstance(overrides, list) or overrides[1:2] != ["train"]:
        return None
    return shlex.join(["ssl-zoo", *map(str, overrides[1:])])
