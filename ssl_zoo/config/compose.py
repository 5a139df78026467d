"""Composes overrides and YAML files into one typed `RunConfig`: merged here, checked by `from_mapping`.

Later settings over earlier ones: the method's defaults (the paper's) < what small images ask for < the data
< what the data needs whatever the method, `recipe/DATA/default.yaml` < the recipe < the experiment < no colours where
the images have none < the overrides.
`docs/architecture.md` explains why Hydra doesn't do it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.config.overrides import merge, override_list, read_override, to_nested
from ssl_zoo.config.pixels import PIXELS, fill_pixels, without_colours
from ssl_zoo.config.registries import SOURCES, data_config
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, unknown_name

__all__ = ["Composed", "compose", "compose_layers"]

METHOD, DATA = "simsiam", "digits"  # where none is named


class Composed(NamedTuple):
    """The values of a run, not yet checked, and what they were merged from: earlier layers below later ones."""

    values: dict[str, Any]
    layers: list[tuple[str, dict[str, Any]]]  # where they stand, such as `method/byol`, and what is set there


def compose(overrides: Sequence[str] = ()) -> RunConfig:
    """Builds the configuration of a run from overrides.

    Raises:
        UserError: an override cannot be read, a name or key is unknown, a value is of the wrong type or out of
            range, the values contradict one another, or an experiment is one of another method.
    """
    return from_mapping(compose_layers(overrides).values)


def compose_layers(overrides: Sequence[str] = ()) -> Composed:
    """Merges the values of a run, as `compose` does before it checks them.

    Raises:
        UserError: an override cannot be read, or a name is unknown; see `compose`.
    """
    choices, settings, extra = _sorted(override_list(overrides))
    folders = [
        *group_dirs(),
        *(config_folder(name.removeprefix("file://"), "hydra.searchpath") for name in extra),
    ]
    groups, named = _layers(choices, folders)
    method, *others = (group.values for group in groups)
    layers, given = [method, *others], to_nested(settings)
    origins = [("the choice of files", dict(named)), *(part for group in groups for part in group.parts)]
    values = _resolved([*layers, given])
    images = _images_of(values.get("data"))
    if images is not None and SOURCES.get(values["data"]["source"]).splits:
        _check_rest({**values, **named})
    small = images and images.for_small_images(values)
    if small:
        followed = _resolved([method, small, *others, given])
        if (
            _size(followed) <= images.SMALL
        ):  # a larger size in an override keeps the large images' stem and blur
            layers, values = [method, small, *others], followed
            origins.insert(1 + len(groups[0].parts), ("small images", small))
    if isinstance(values.get("data"), Mapping):
        data = fill_pixels(values["data"], [key for key, _ in settings], images)
        if colourless := without_colours({**values, "data": data}):
            values = _resolved([*layers, colourless, given])
            origins.append(("images without red, green and blue", colourless))
        values["data"] = data
    return Composed({**values, **named}, [*origins, ("override", given)])


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
            raise UserError(f"method.name follows from the method; received '{override}'; set method={value}")
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
        elif (key, value) != ("data.channels", "auto"):  # as when left out
            settings.append((key, value))
    return choices, settings, folders


def _layers(
    choices: Mapping[str, str], folders: Sequence[Path]
) -> tuple[list[GroupFile], dict[str, str | None]]:
    """Reads the files of a run: the method's, then those over it, and the names of the recipe and the experiment.

    Raises:
        UserError: there is no such file, data's holds more than the data, or an experiment is of another method.
    """
    known = group_names("recipe", folders)
    for group, name in choices.items():
        if group != "recipe" and not (group in OPTIONAL and name == "none"):
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
    usual = f"{chosen['data']}/{chosen['method']}"
    recipe = _recipe(chosen.get("recipe", usual if usual in known else "none"), chosen["method"], known)
    recipes = [default for name in data.names if (default := f"{name}/default") in known]
    recipes += [recipe] if recipe != "none" else []
    layers = [method, data, *(load_group("recipe", name, folders) for name in recipes), settings]
    named = {"recipe": recipe, "experiment": experiment}
    return layers, {key: None if name == "none" else name for key, name in named.items()}


def _recipe(name: str, method: str, known: Sequence[str]) -> str:
    """Returns the recipe that `recipe=NAME` chooses; of a folder the method's, or else the one for any method.

    Raises:
        UserError: there is no such file, nor such a folder with a recipe that the method can take.
    """
    if name in known or name == "none":
        return name
    for file in (f"{name}/{method}", f"{name}/default"):
        if file in known:
            return file
    if "/" in name:
        raise unknown_name("recipe", name, known)
    split = (file.rpartition("/") for file in known)  # a file in no folder is named by itself
    usable = {folder or file for folder, _, file in split if not folder or file in (method, "default")}
    raise unknown_name("recipe", name, usable)


def _resolved(layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merges settings, later ones over earlier ones, and follows references such as `${epochs}`.

    Raises:
        UserError: OmegaConf refuses them, or loses itself in them: `a=${b} b=${a}`.
    """
    try:
        values: Any = functools.reduce(merge, layers)
        if "${" in repr(values):  # OmegaConf takes as long as all else
            values = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"the configuration cannot be composed: {reason}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _images_of(data: Any) -> Any:
    """Returns the module that looks at the images; None where the source has none, or they are not named."""
    if not isinstance(data, Mapping) or data.get("source") not in SOURCES.names():
        return None
    source = SOURCES.get(data["source"])
    named = isinstance(data.get("train"), str) or not source.reads_train
    return source.load_image_defaults() if named else None


def _check_rest(values: Mapping[str, Any]) -> None:
    """Refuses what is wrong whatever the images are, before they are downloaded to be looked at."""
    block = {key: value for key, value in values["data"].items() if key not in PIXELS}
    validate(data_config(block), block, "data")
    from_mapping({**values, "data": {"name": "data", "source": DATA}})


def _size(values: Mapping[str, Any]) -> float:
    """Returns the size of the views, infinite where none is set."""
    augment = values.get("augment")
    size = augment.get("size") if isinstance(augment, Mapping) else None
    return size if isinstance(size, int) else float("inf")
