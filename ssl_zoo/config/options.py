"""The overrides of the verbs that take a saved run: their own keys, and `data=` with `data.*` as in training."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ssl_zoo.config.compose import compose, group_names, merge, override_list, read_override, to_mapping
from ssl_zoo.config.registries import SOURCES, data_config
from ssl_zoo.config.schema import AugmentConfig, DataConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, unknown_name

if TYPE_CHECKING:
    from ssl_zoo.runs.saved_run import SavedRun

__all__ = ["data_for", "images_for", "read_options"]


def read_options(overrides: Sequence[str], *, several: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Splits the arguments of a verb into nested plain values and the overrides of the data; `key=a,b` is a list.

    A path that exists, or an argument without `=`, is a run, as if it stood behind `run=`.

    Args:
        overrides: the arguments.
        several: whether `run` may name several runs, and is then a list.

    Returns:
        For instance `({"run": "runs/mine", "knn": {"k": [20]}}, ["data=cifar10", "data.limit=100"])`.

    Raises:
        UserError: an argument cannot be read, gives a value to what is a block of keys, or names one run too many.
    """
    values: dict[str, Any] = {}
    about_data = []
    overrides = override_list(overrides)
    paths = [override for override in overrides if _is_path(override)]
    overrides = [override for override in overrides if override not in paths]
    for override in overrides:
        key, value = read_override(override, commas=True)
        if key == "data" or key.startswith("data."):
            about_data.append(override)
            continue
        for part in reversed(key.split(".")):
            value = {part: value}
        values = merge(values, value)
    _check_data(about_data)
    named = values.get("run", [])
    runs = [*paths, *(named if isinstance(named, list) else [named])]
    if paths and len(runs) > 1 and not several:
        raise UserError(
            f"one run is taken; received {' and '.join(repr(run) for run in runs)}; leave out all but one, and write "
            "options as key=value"
        )
    if runs:
        values["run"] = runs if several or len(runs) > 1 else runs[0]
    return values, about_data


def _check_data(overrides: Sequence[str]) -> None:
    """Refuses what can be seen to be wrong without the run, and before torch is imported."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, value = read_override(override)
        if key == "data" and (not isinstance(value, str) or value not in group_names("data")):
            raise unknown_name("data", str(value), group_names("data"))
        values[key.removeprefix("data.")] = value
    alone = {key: value for key, value in values.items() if key not in ("data", "channels", "mean", "std")}
    if SOURCES.announced():  # a plugin's source may have further keys; `images_for` checks them
        alone = {key: value for key, value in alone.items() if key in DataConfig.__dataclass_fields__}
    validate(DataConfig, {"name": "data", "source": "digits", **alone}, "data")


def _is_path(argument: str) -> bool:
    return os.path.exists(os.path.expanduser(argument)) or (
        "=" not in argument and argument[:1] not in ("", "-")
    )


def data_for(overrides: Sequence[str], run: SavedRun | None) -> DataConfig:
    """The data alone of `images_for`."""
    return images_for(overrides, run)[0]


def images_for(overrides: Sequence[str], run: SavedRun | None) -> tuple[DataConfig, AugmentConfig]:
    """The data that `data=` and `data.*` name, and their views; without `data=` the run's own, changed by `data.*`.

    Images are preprocessed as the run's encoder saw them, whatever the data: its number of channels, mean and
    standard deviation, unless `data.channels`, `data.mean` or `data.std` is among the overrides.

    Raises:
        UserError: an unknown name, key or value; other channels than the encoder has; no data at all.
    """
    said = dict(read_override(override) for override in overrides)
    if run is None and "data" not in said:
        raise UserError(
            "without a run the images must be named; received no data=; set data=NAME, see ssl-zoo list"
        )
    own = {} if run is None else to_mapping(run.config)["data"]
    if run is not None and said.get("data.channels", own["channels"]) != own["channels"]:
        raise UserError(
            f"data.channels must be what the encoder was trained with, {own['channels']}; received "
            f"{said['data.channels']}; leave it out: images are converted"
        )
    changes = {key.removeprefix("data."): value for key, value in said.items() if key != "data"}
    if "data" not in said:
        assert run is not None
        block = {**own, **changes}
        return validate(data_config(block), block, "data"), run.config.augment
    pixels = ("channels", "mean", "std") if own else ()
    named = compose(
        [override for override in overrides if read_override(override)[0].removeprefix("data.") not in pixels]
    )
    kept = {key: own[key] for key in pixels}
    block = {**dataclasses.asdict(named.data), **kept, **changes}
    return validate(data_config(block), block, "data"), named.augment
