"""The keys of `ssl-zoo runs`, typed; every other argument is a condition, or a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from ssl_zoo.catalog.conditions import is_condition
from ssl_zoo.config.schema import Count, section
from ssl_zoo.config.validate import validate

__all__ = ["RunsConfig", "read_runs"]


@section
class RunsConfig:
    """A list of runs: `ssl-zoo runs [FOLDER ...] [method=byol] [seed=0..4] ['knn>80'] [key=value ...]`."""

    where: str | None = None
    """Conditions in one text, joined by and; as good as each on its own."""
    sort: str | None = None
    """Field, metric or key to sort by: figures from the largest on, words by the alphabet; -knn is the reverse."""
    best: str | None = None
    """Metric of which only the best run with a result is listed: of a loss, a time or a memory that with the least."""
    columns: tuple[str, ...] | None = None
    """Fields, metrics and keys to show. null: those in which the runs have values."""
    differing: bool = False
    """Whether each key in which the listed runs differ is a column."""
    limit: Count | None = None
    """Runs that are listed at most."""
    diff: tuple[str, ...] | None = None
    """Two runs or more, by name, part of a name or path, whose keys and metrics are compared."""
    do: Literal["list", "resume", "remove"] = "list"
    """What is done with the listed runs. resume: those that were interrupted or failed go on, one after another."""
    yes: bool = False
    """Whether do=remove removes without being asked once more."""


def read_runs(arguments: Sequence[str]) -> tuple[RunsConfig, list[str], list[str]]:
    """Returns the options, the folders and the conditions.

    A value is text as it stands, for it may hold what overrides of training need quotes for; commas divide a list.

    Raises:
        UserError: a value is wrong.
    """
    values, folders, conditions = dict[str, Any](), list[str](), list[str]()
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if sign and key in RunsConfig.__dataclass_fields__:
            values[key] = _read(key, value)
        elif is_condition(argument) and not os.path.exists(argument):
            conditions.append(argument)
        else:
            folders.append(argument)
    return validate(RunsConfig, values, ""), folders, conditions


def _read(key: str, value: str) -> Any:
    if value == "null":
        return None
    if key in ("columns", "diff"):
        return [part.strip() for part in value.strip("[]").split(",")]
    if key == "limit" and value.lstrip("-").isdigit():
        return int(value)
    return {"true": True, "false": False}.get(value, value)
