"""A `RunConfig` from plain values and back, as `config.yaml` of a run directory holds them, and its hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import yaml

from ssl_zoo.config.added_keys import without_added
from ssl_zoo.config.overrides import merge
from ssl_zoo.config.registries import METHODS, method_config, run_settings
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, shown

__all__ = ["config_hash", "from_mapping", "from_yaml", "resolve_views", "to_mapping", "to_yaml"]

# Where a run is written and how fast it goes; everything else is what it computes.
NOT_HASHED = {
    "run_dir": None,
    "resume": None,
    "data": ("root", "workers", "cache_mb", "spool_gb"),
    "trainer": (
        "progress",
        "loggers",
        "logging",
        "log_every_steps",
        "checkpoint_every_epochs",
        "checkpoint_every_steps",
        "strategy",
        "activation_checkpointing",
        "requeue",
        "timeout_minutes",
        "memory_check",
    ),
}


def from_mapping(values: Mapping[str, Any]) -> RunConfig:
    """Validates a plain mapping, for instance one read back from a run's `config.yaml`.

    Raises:
        UserError: as `validate`, or the method cannot take this number of views.
    """
    rest = dict(values)
    block = rest.pop("method", None)
    if not isinstance(block, Mapping) or "name" not in block:
        raise UserError(f"method must be a block with a name; received {shown(block)}; set method=NAME")
    # Unknown keys of the method are looked up among all keys, so that the suggestion is the nearest of all.
    augment = rest.get("augment")
    schema = method_config(block)
    rest["augment"] = resolve_views({} if augment is None else augment, schema.min_views)
    settings_class = run_settings(rest.get("data"))
    method = validate(schema, block, "method", siblings=settings_class)
    settings = validate(settings_class, rest, "", siblings=schema)
    if not METHODS.is_file(
        method.name
    ):  # else its import, and torch's, would be for nothing: a test asserts the same
        assert issubclass(schema, METHODS.get(method.name).config)
    views = len(settings.augment.flat)
    if views < method.min_views:
        raise UserError(
            f"augment.views must make at least {method.min_views} views of an image for method={method.name}; received "
            f"{views}; name more, or set augment.views=null"
        )
    method.check_views(views)
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return RunConfig(method=method, **fields)


def to_mapping(config: RunConfig) -> dict[str, Any]:
    """Returns the configuration as plain values, `method` first."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    common = values["augment"]
    common["views"] = {name: _differences(common, view) for name, view in common["views"].items()}
    return {"method": values.pop("method"), **values}


def to_yaml(config: RunConfig) -> str:
    """Returns the configuration as YAML that `from_yaml` reads back."""
    return str(yaml.safe_dump(to_mapping(config), sort_keys=False, default_flow_style=None, width=110))


def from_yaml(text: str) -> RunConfig:
    """Reads what `to_yaml` has written, by PyYAML's own rules as there: `1e3` is text to them.

    Raises:
        UserError: as in `from_mapping`.
        YAMLError: it is no YAML.
    """
    return from_mapping(yaml.safe_load(text))


def config_hash(config: RunConfig, start: str | None = None) -> str:
    """Returns twelve hex digits that two runs share when they compute the same thing.

    Args:
        config: of the run.
        start: what the weights are that it begins with, in place of the path in `start_from`; None: the path.
    """
    values = to_mapping(config)
    if start is not None:
        values["start_from"] = start
    for key, inner in NOT_HASHED.items():
        if inner is None:
            del values[key]
        else:
            values[key] = {name: value for name, value in values[key].items() if name not in inner}
    values = without_added(values)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def resolve_views(augment: Mapping[str, Any], least: int) -> dict[str, Any]:
    """Completes each named view with what holds for all views; without names there are `least` views alike."""
    if not isinstance(augment, Mapping):
        raise UserError(f"augment must be a block of keys; received {shown(augment)}")
    common = {key: value for key, value in augment.items() if key != "views"}
    views = augment.get("views")
    if views is None:
        views = {"both" if least == 2 else "all": {"count": least}}
    if not isinstance(views, Mapping):
        raise UserError(
            f"augment.views must map names to settings; received {shown(views)}; set e.g. {{one: {{}}, two: {{}}}}"
        )
    return {**common, "views": {name: merge(common, view or {}) for name, view in views.items()}}


def _differences(base: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a view sets apart from what holds for all views; `resolve_views` undoes it."""
    return {
        key: _differences(base[key], value) if isinstance(value, Mapping) else value
        for key, value in view.items()
        if key not in base or base[key] != value
    }
