"""The overrides of the verbs that take a saved run: their own keys, and `data=` with `data.*` as in training."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_names
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.overrides import override_list, read_override, to_nested, write_override
from ssl_zoo.config.pixels import PIXELS
from ssl_zoo.config.registries import SOURCES, data_config
from ssl_zoo.config.schema import AugmentConfig, DataConfig, RunConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, unknown_name

__all__ = ["PIXELS", "commands_allowed", "data_for", "images_for", "read_options"]

COMMAND = "pipe:"  # of `data.shards.patterns`: images that a command writes
_allowed = ContextVar("commands_allowed", default=False)


def read_options(overrides: Sequence[str], *, several: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Splits the arguments of a verb into nested plain values and the overrides of the data; `key=a,b` is a list.

    A path that exists, or an argument without `=`, names a run as `run=` does.

    Args:
        overrides: the arguments.
        several: whether `run` may name several runs, and is then a list.

    Returns:
        For instance `({"run": "runs/mine", "knn": {"k": [20]}}, ["data=cifar10", "data.limit=100"])`.

    Raises:
        UserError: an argument cannot be read, gives a value to what is a block of keys, or names one run too many.
    """
    settings, about_data = [], []
    overrides = override_list(overrides)
    paths = [override for override in overrides if _is_path(override)]
    overrides = [override for override in overrides if override not in paths]
    for override in overrides:
        key, value = read_override(override, commas=True)
        if key == "data" or key.startswith("data."):
            about_data.append(override)
        else:
            settings.append((key, value))
    values = to_nested(settings)
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
    """Refuses overrides that are wrong whatever the run is, before torch is imported."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, value = read_override(override)
        if key == "data" and (not isinstance(value, str) or value not in group_names("data")):
            raise unknown_name("data", str(value), group_names("data"))
        values[key.removeprefix("data.")] = value
    alone = {key: value for key, value in values.items() if key not in ("data", *PIXELS)}
    if SOURCES.announced():  # a plugin's source may have further keys; `images_for` checks them
        alone = {key: value for key, value in alone.items() if key in DataConfig.__dataclass_fields__}
    configs = [source.config for source in SOURCES.registered()]
    config = next((each for each in configs if alone.keys() <= each.__dataclass_fields__.keys()), DataConfig)
    validate(config, {"name": "data", "source": "digits", **alone}, "data")


def _is_path(argument: str) -> bool:
    return os.path.exists(os.path.expanduser(argument)) or (
        "=" not in argument and argument[:1] not in ("", "-")
    )


@contextmanager
def commands_allowed() -> Iterator[None]:
    """Allows commands in the data of saved runs, of a caller that has trained them itself."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def _check_commands(runs_data: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Refuses to run a command that stands in a run's file alone: the file may come from anybody."""
    for key, value in runs_data.items():
        if isinstance(value, str) and COMMAND in value and key not in changes and not _allowed.get():
            raise UserError(
                f"a command in a run's files is run only where it is given anew; the run has data.{key}='{value}'; "
                f"add {shlex.quote(write_override(f'data.{key}', value))} if you trust it, or name other images with "
                "data="
            )


def data_for(overrides: Sequence[str], trained: RunConfig | None) -> DataConfig:
    """Returns the data alone of `images_for`."""
    return images_for(overrides, trained)[0]


def images_for(overrides: Sequence[str], trained: RunConfig | None) -> tuple[DataConfig, AugmentConfig]:
    """Returns the data that `data=` and `data.*` name, and their views; without `data=` the run's, changed by `data.*`.

    Images are preprocessed as the run's encoder received them, whatever the data: its number of channels, mean,
    standard deviation and interpolation, unless `data.mean` or another of `PIXELS` is among the overrides.

    Args:
        overrides: those about the data.
        trained: the configuration of the run that trained the encoder; None if no run did.

    Raises:
        UserError: an unknown name, key or value; other channels than the encoder has; no data at all; the run's images
            come from a command, which a file from elsewhere may have brought.
    """
    given = dict(read_override(override) for override in overrides)
    if trained is None and "data" not in given:
        raise UserError(
            "without a run the images must be named; received no data=; set data=NAME, see ssl-zoo list"
        )
    runs_data = {} if trained is None else to_mapping(trained)["data"]
    if trained is not None and given.get("data.channels", runs_data["channels"]) != runs_data["channels"]:
        raise UserError(
            f"data.channels must be what the encoder was trained with, {runs_data['channels']}; received "
            f"{given['data.channels']}; leave it out: images are converted"
        )
    changes = {key.removeprefix("data."): value for key, value in given.items() if key != "data"}
    if "data" not in given:
        assert trained is not None
        _check_commands(runs_data, changes)
        block = {**runs_data, **changes}
        config = data_config(block)
        if changes.keys() & set(config.NAMED_BY) and (
            sample := SOURCES.get(block["source"]).load_sample()(block)
        ):
            block |= sample.identity(block)
        return validate(config, block, "data"), trained.augment
    pixels = PIXELS if runs_data else ()
    named = compose(
        [override for override in overrides if read_override(override)[0].removeprefix("data.") not in pixels]
    )
    kept = {key: runs_data[key] for key in pixels}
    block = {**dataclasses.asdict(named.data), **kept, **changes}
    return validate(data_config(block), block, "data"), named.augment
