"""From overrides and YAML files to one typed `RunConfig`: merged here, checked by `ssl_zoo.config.validate`.

Later settings over earlier ones: the method's defaults (the paper's) < what small images ask for < the data
< what the data needs whatever the method, `recipe/DATA/default.yaml` < the recipe < the experiment < the overrides.
`docs/architecture.md` says why Hydra does not do it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssl_zoo.config.groups import (
    GROUPS,
    OPTIONAL,
    GroupFile,
    config_folder,
    group_dirs,
    group_file,
    group_names,
    load_group,
)
from ssl_zoo.config.overrides import merge, override_list, read_override, to_nested
from ssl_zoo.config.pixels import fill_pixels
from ssl_zoo.config.registries import METHODS, SOURCES, method_config, run_settings
from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, shown

__all__ = ["compose", "config_hash", "from_mapping", "to_mapping", "to_yaml"]

METHOD, DATA = "simsiam", "digits"  # where none is named
# Where a run is written and how fast it goes; everything else is what it computes.
NOT_HASHED = {
    "run_dir": None,
    "resume": None,
    "data": ("root", "workers", "cache_mb"),
    "trainer": (
        "progress",
        "log_every_steps",
        "checkpoint_every_epochs",
        "checkpoint_every_steps",
        "strategy",
        "memory_check",
    ),
}


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """Builds the configuration of a run from overrides.

    Raises:
        UserError: an override cannot be read, a name or key is unknown, a value is of the wrong type or out of
            range, the values contradict one another, or an experiment is one of another method.
    """
    choices, settings, extra = _sorted(override_list(overrides))
    folders = [
        *group_dirs(),
        *(config_folder(name.removeprefix("file://"), "hydra.searchpath") for name in extra),
    ]
    method, layers, named = _layers(choices, folders)
    layers = [*layers, to_nested(settings)]
    values = _resolved([method, *layers])
    images = _images_of(values.get("data"))
    small = images and images.for_small_images(values)
    if small:
        followed = _resolved([method, small, *layers])
        # A larger size that was given keeps the large images' stem and blur.
        values = followed if _size(followed) <= images.SMALL else values
    if isinstance(values.get("data"), Mapping):
        given = [key for key, _ in settings]
        values["data"] = fill_pixels(values["data"], given, images and images.gray_of)
    return from_mapping({**values, **named})


def _sorted(overrides: Sequence[str]) -> tuple[dict[str, str], list[tuple[str, Any]], list[str]]:
    """Sorts overrides into choices of groups, values and folders to search."""
    choices, settings, folders = {}, [], []
    for override in overrides:
        key, value = read_override(override)
        if "@" in override.partition("=")[0] or (key.startswith("hydra") and key != "hydra.searchpath"):
            raise UserError(
                f"of Hydra's own settings only hydra.searchpath is read; received '{override}'; leave it out"
            )
        if key == "method.name":
            raise UserError(f"method.name follows from the method; received '{override}'; say method={value}")
        if key == "images":
            raise UserError(
                f"images follows from the images themselves; received '{override}'; leave it out, or set augment.size "
                "and backbone.stem"
            )
        if key == "hydra.searchpath":
            folders += [str(folder) for folder in (value if isinstance(value, list) else [value])]
        elif key in GROUPS or key.partition(".")[0] in OPTIONAL:
            if value is None and key in OPTIONAL:
                value = "none"
            if not isinstance(value, str) or not value or key not in GROUPS:
                raise UserError(
                    f"{key.partition('.')[0]} takes a name; received '{override}'; see ssl-zoo list"
                )
            choices[key] = value
        else:
            settings.append((key, value))
    return choices, settings, folders


def _layers(
    choices: Mapping[str, str], folders: Sequence[Path]
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, str | None]]:
    """Reads the files of a run: the method's, those over it, and the names of the recipe and the experiment.

    Raises:
        UserError: there is no such file, or it holds what isn't its to say.
    """
    for group, name in choices.items():
        if not (group in OPTIONAL and name == "none"):
            group_file(group, name, folders)
    experiment, settings = choices.get("experiment", "none"), GroupFile({}, {}, ())
    if experiment != "none":
        settings = load_group("experiment", experiment, folders)
    its_method = settings.choices.get("method")
    if None not in (its_method, choices.get("method")) and its_method != choices["method"]:
        raise UserError(
            f"experiment={experiment} has the settings of method={its_method} and goes with no other; received "
            f"method={choices['method']}; leave out one of the two"
        )
    chosen = {"method": METHOD, "data": DATA, **settings.choices, **choices}
    method, data = (load_group(group, chosen[group], folders) for group in ("method", "data"))
    if other := [key for key in data.values if key != "data"]:
        raise UserError(
            f"a file of data/ says what the data is, in the block data; that of '{chosen['data']}' has '{other[0]}' as "
            f"well; move it to recipe/{chosen['data']}/default.yaml, on how to train on that data"
        )
    known, usual = group_names("recipe", folders), f"{chosen['data']}/{chosen['method']}"
    recipe = chosen.get("recipe", usual if usual in known else "none")
    recipes = [default for name in data.names if (default := f"{name}/default") in known]
    recipes += [recipe] if recipe != "none" else []
    layers = [data.values, *(load_group("recipe", name, folders).values for name in recipes), settings.values]
    named = {"recipe": recipe, "experiment": experiment}
    return method.values, layers, {key: None if name == "none" else name for key, name in named.items()}


def _resolved(layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merges settings, later ones over earlier ones, and follows references such as `${epochs}`.

    Raises:
        UserError: OmegaConf refuses them, or loses itself in them: `a=${b} b=${a}`.
    """
    try:
        merged: dict[str, Any] = functools.reduce(merge, layers)
        values = OmegaConf.to_container(OmegaConf.create(merged), resolve=True)
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"the configuration cannot be composed: {reason}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _images_of(data: Any) -> Any:
    """Returns the module that looks at the images of a folder; None where the source of the data has none."""
    if not isinstance(data, Mapping) or not isinstance(data.get("train"), str):
        return None
    return (
        SOURCES.get(data["source"]).load_image_defaults() if data.get("source") in SOURCES.names() else None
    )


def _size(values: Mapping[str, Any]) -> float:
    """Returns the size of the views, infinite where none is set."""
    augment = values.get("augment")
    size = augment.get("size") if isinstance(augment, Mapping) else None
    return size if isinstance(size, int) else float("inf")


def from_mapping(values: Mapping[str, Any]) -> RunConfig:
    """Validates a plain mapping, for instance one read back from a run's `config.yaml`."""
    rest = dict(values)
    block = rest.pop("method", None)
    if not isinstance(block, Mapping) or "name" not in block:
        raise UserError(f"method must be a block with a name; received {shown(block)}; say method=NAME")
    name = str(block["name"])
    # Unknown keys of the method are looked up among all keys, so that the suggestion is the nearest of all.
    rest["augment"] = _resolve_views(rest.get("augment") or {})
    schema = method_config(name)
    settings_class = run_settings(rest.get("data"))
    method = validate(schema, block, "method", siblings=settings_class)
    settings = validate(settings_class, rest, "", siblings=schema)
    assert METHODS.get(name).config is schema  # only now, as it imports torch
    if isinstance(method, SiameseConfig) and method.target_views > len(settings.augment.flat):
        raise UserError(
            f"method.target_views must be at most the number of views, {len(settings.augment.flat)}; received "
            f"{method.target_views}; make more views with augment.views"
        )
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return RunConfig(method=method, **fields)


def to_mapping(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain values, `method` first."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    common = values["augment"]
    common["views"] = {name: _differences(common, view) for name, view in common["views"].items()}
    return {"method": values.pop("method"), **values}


def to_yaml(config: RunConfig) -> str:
    """The configuration as YAML that `from_mapping` reads back."""
    return str(yaml.safe_dump(to_mapping(config), sort_keys=False, default_flow_style=None, width=110))


def config_hash(config: RunConfig) -> str:
    """Twelve hex digits that two runs share when they compute the same thing."""
    values = to_mapping(config)
    for key, inner in NOT_HASHED.items():
        if inner is None:
            del values[key]
        else:
            values[key] = {name: value for name, value in values[key].items() if name not in inner}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _resolve_views(augment: Mapping[str, Any]) -> dict[str, Any]:
    """Fills each named view in with what holds for all views; no names: two views alike."""
    if not isinstance(augment, Mapping):
        raise UserError(f"augment must be a block of keys; received {shown(augment)}")
    common = {key: value for key, value in augment.items() if key != "views"}
    views = augment.get("views")
    if views is None:
        views = {"both": {"count": 2}}
    if not isinstance(views, Mapping):
        raise UserError(
            f"augment.views must map names to settings; received {shown(views)}; set e.g. {{one: {{}}, two: {{}}}}"
        )
    return {**common, "views": {name: merge(common, view or {}) for name, view in views.items()}}


def _differences(base: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_merge`: what a view sets apart from what holds for all views."""
    return {
        key: _differences(base[key], value) if isinstance(value, Mapping) else value
        for key, value in view.items()
        if key not in base or base[key] != value
    }
