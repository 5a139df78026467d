"""The configuration of a run that is continued: `run_dir=DIR resume=auto` suffices; further overrides must agree."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.config.added_keys import ADDED_KEYS
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import GROUPS, group_names
from ssl_zoo.config.mapping import from_mapping, from_yaml, to_mapping
from ssl_zoo.config.overrides import merge, override_list, read_override, to_nested, write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path

__all__ = ["compose_run", "forbidden_changes"]

# Keys and blocks in which a continuation may differ: where it is, how fast, what is measured, how long it goes on.
FREE = ("run_dir", "resume", "recipe", "experiment", "monitor", "trainer", "epochs")
FIXED = "trainer.accumulate"  # within these blocks: it changes what is computed


def compose_run(overrides: Sequence[str]) -> RunConfig:
    """Builds the configuration of a run from overrides, as `compose` does.

    With `resume=auto` and a run in `run_dir` it is the configuration of that run; `FREE` lists
    what overrides may change.

    Raises:
        UserError: as in `compose`; `resume=auto` finds no run, and no override names the one to begin; an override
            disagrees with the run.
    """
    overrides = override_list(overrides)
    given = dict(map(read_override, overrides))
    folder = given.get("run_dir")
    if given.get("resume") != "auto" or not isinstance(folder, str) or not folder.strip():
        return compose(overrides)
    file = user_path(folder, "run_dir") / "config.yaml"
    if os.path.isfile(file):
        return _continued(file, overrides, given)
    if not set(GROUPS) & set(given):
        raise UserError(
            f"resume=auto continues the run in run_dir; there is none in '{folder}' (no config.yaml); name a run "
            "directory, or add what to train there, for instance method=simsiam data=digits"
        )
    return compose(overrides)


def forbidden_changes(begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Lists forbidden changes of a continuation: key, value of the run, value wanted."""
    return [
        (key, old, new)
        for key, old, new in _differing(begun, wanted, "")
        if key == FIXED or key.partition(".")[0] not in FREE
    ]


def _continued(file: Path, overrides: Sequence[str], given: Mapping[str, Any]) -> RunConfig:
    """Returns the run's configuration with the overrides, which must agree with it."""
    try:
        begun = to_mapping(from_yaml(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        if set(GROUPS) & set(given):  # an earlier version's: the overrides must be complete
            return compose(overrides)
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"resume=auto reads what a run was begun with; '{file}' cannot be read ({reason}); give the overrides that "
            "it was begun with as well, method=NAME among them"
        ) from error
    if begun["method"]["name"] == "imported":
        raise UserError(
            f"resume=auto continues a training; the encoder in '{file.parent}' was imported, not trained here; begin a "
            f"run with its weights: {write_override('start_from', str(file.parent))} and another run_dir"
        )
    passed_over = (*GROUPS, "hydra.searchpath")
    settings = (
        (k, v) for k, v in given.items() if k not in passed_over and (k, v) != ("data.channels", "auto")
    )
    config = from_mapping(merge(begun, to_nested(settings)))
    problems = forbidden_changes(begun, to_mapping(config))
    names = list(_other_names(begun, given))
    if names and forbidden_changes(begun, to_mapping(compose(overrides))):
        problems = [*names, *problems]
    if problems:
        listed = ", ".join(f"{key}={_shown(new)} (begun with {_shown(old)})" for key, old, new in problems)
        raise UserError(
            f"resume=auto continues the run in '{file.parent}' as it was begun; received {listed}; leave that out, or "
            "begin another run in another run_dir"
        )
    return config


def _other_names(begun: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields groups for which the overrides choose another file than the run's: group, its name, the other."""
    has = {"method": begun["method"]["name"], "data": begun["data"]["name"]}
    for group in GROUPS:
        if group not in given:
            continue
        name = given[group] if given[group] != "none" else None
        old = has.get(group, begun.get(group))
        renamed = group == "data" and old not in group_names("data") and name == begun["data"]["source"]
        if name != old and not renamed:
            yield group, old, name


def _differing(begun: Any, wanted: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields keys with other values than the run's; one that it lacks has the value at which it changes nothing."""
    if isinstance(begun, Mapping) and isinstance(wanted, Mapping):
        for key, value in begun.items():
            yield from _differing(value, wanted.get(key), f"{path}.{key}" if path else str(key))
        for key in wanted.keys() - begun.keys():
            name = f"{path}.{key}" if path else str(key)
            if isinstance(wanted[key], Mapping):
                yield from _differing({}, wanted[key], name)
            elif name in ADDED_KEYS and wanted[key] != ADDED_KEYS[name]:
                yield name, ADDED_KEYS[name], wanted[key]
    elif begun != wanted:
        yield path, begun, wanted


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
