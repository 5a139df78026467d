"""From overrides and YAML files to one typed `RunConfig`.

Hydra's compose API merges the YAML groups and parses the overrides; `ssl_zoo.config.schema` says what may stand there.
Own YAML is found in the `configs/` folder of an installed plugin, in the folders that the environment
variable SSL_ZOO_CONFIGS names, and through Hydra's own `hydra.searchpath=[FOLDER]`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ssl_zoo import registry
from ssl_zoo.config.image_defaults import SMALL, fill_pixels, small_overrides
from ssl_zoo.config.registries import METHODS, method_config, run_settings
from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, shown, unknown_name
from ssl_zoo.files.paths import user_path

__all__ = [
    "GROUPS",
    "compose",
    "config_hash",
    "from_mapping",
    "group_dirs",
    "group_file",
    "group_names",
    "merge",
    "override_list",
    "read_override",
    "to_mapping",
    "to_yaml",
    "written",
]

GROUPS = ("method", "data", "recipe", "experiment")
OPTIONAL = ("recipe", "experiment")
# Of an override: characters of its key, and brackets that stand within one another, each at most.
LONGEST_KEY, DEEPEST = 200, 16
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


def group_dirs() -> list[Path]:
    """The folders that hold YAML groups: this package's first, then the plugins' and the user's."""
    named = os.environ.get("SSL_ZOO_CONFIGS", "").split(os.pathsep)
    own = [_folder(name, "SSL_ZOO_CONFIGS") for name in named if name]
    from ssl_zoo import configs

    return [Path(configs.__file__).parent, *registry.config_dirs(), *own]


def _folder(name: str, source: str) -> Path:
    folder = user_path(name, source)
    if not os.path.isdir(folder):
        raise UserError(f"{source} must name folders; received '{name}', which is none; create it")
    return folder.resolve()


def group_names(group: str, folders: Sequence[Path] | None = None) -> list[str]:
    """The names that `group=` accepts, for instance `digits/simsiam` for the group `recipe`."""
    roots = [folder / group for folder in folders or group_dirs()]
    files = [(root, file) for root in roots for file in sorted(root.rglob("*.yaml")) if file.is_file()]
    names = dict.fromkeys(file.relative_to(root).with_suffix("").as_posix() for root, file in files)
    return [name for name in names if name != "none"]


def group_file(group: str, name: str, folders: Sequence[Path] | None = None) -> Path:
    """The YAML file that `group=name` chooses: the first one found, as Hydra searches."""
    files = (folder / group / f"{name}.yaml" for folder in folders or group_dirs())
    return next(file for file in files if file.is_file())


def compose(words: Sequence[str] = ()) -> RunConfig:
    """Builds the configuration of a run from overrides.

    Raises:
        UserError: a word cannot be read, a name or key is unknown, a value is of the wrong type or out of
            range, the values contradict one another, or an experiment is one of another method.
    """
    words = override_list(words)
    folders = group_dirs()
    overrides, choices, extra = _parse(words)
    folders += [_folder(name.removeprefix("file://"), "hydra.searchpath") for name in extra]
    for group, name in choices.items():
        names = group_names(group, folders)
        if name not in names and not (group in OPTIONAL and name == "none"):
            raise _no_yaml(group, name, names)
    overrides += [f"{group}={name}" for group, name in choices.items()]
    overrides.append(f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders[1:])}]")
    with _in_words():
        _check_method(choices, folders)
    plain, chosen = _merged(folders[0], overrides)
    with _in_words():
        _check_headers(plain, chosen, folders)
    if small := small_overrides(plain):
        followed, _ = _merged(folders[0], [*overrides, *small])
        del followed["small"]
        # A larger size that was given keeps the large images' stem and blur.
        plain = followed if _is_small(followed) else plain
    if isinstance(plain.get("data"), Mapping):
        plain["data"] = fill_pixels(plain["data"], [read_override(word)[0].lstrip("+") for word in words])
    return from_mapping({**plain, **_found(chosen, folders)})


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


def read_override(word: str, *, commas: bool = False) -> tuple[str, Any]:
    """The key and the value of a `key=value` word, the value in Hydra's syntax: numbers, lists, quoted text.

    Args:
        word: as on the command line.
        commas: whether `key=a,b` is the list [a, b]; Hydra, and `compose`, keep it for sweeps.

    Raises:
        UserError: it cannot be read.
    """
    if not word.partition("=")[1] or word[:1] in ("-", "="):
        raise UserError(f"options are written key=value, for instance epochs=100; received '{word}'")
    if len(word.partition("=")[0]) > LONGEST_KEY or max(_depths(word), default=0) > DEEPEST:
        raise UserError(
            f"a key has at most {LONGEST_KEY} characters, and brackets in a value stand {DEEPEST} deep at most; "
            f"received '{word}'; shorten it"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in word):  # a byte that the locale could not decode
        raise UserError(
            f"options are text in the locale's encoding; received '{word}'; rename the file or folder, "
            "or set LC_ALL=C.UTF-8 if the letters are UTF-8"
        )
    try:
        parsed = OverridesParser.create().parse_override(word)
    except (HydraException, ValueError) as error:  # ValueError: int() of more than 4,300 digits
        raise UserError(
            f"'{word}' cannot be read as key=value: {_first_line(error)}; put values with spaces, "
            f"commas, brackets or accents in quotes, for instance \"data.train='my folder'\""
        ) from error
    if commas and parsed.is_choice_sweep():
        return parsed.key_or_group, list(parsed.sweep_iterator(Transformer.identity))
    if parsed.is_delete() or parsed.is_sweep_override():
        raise UserError(f"options set one value each, key=value; received '{word}'")
    return parsed.key_or_group, parsed.value()


def override_list(words: Any) -> list[str]:
    """The overrides as a list, as they come from the command line or from Python.

    Raises:
        UserError: they are no list of strings.
    """
    values = None if isinstance(words, (str, bytes, Mapping)) or not isinstance(words, Iterable) else [*words]
    if values is None or not all(isinstance(word, str) for word in values):
        raise UserError(
            f"overrides are a list of strings, key=value; received {shown(words)}; write for instance "
            "['method=byol', 'epochs=100']"
        )
    return values


def _depths(word: str) -> Iterator[int]:
    """Yields the number of open brackets after each opening one."""
    depth = 0
    for char in word:
        if char in "([{":
            depth += 1
            yield depth
        elif char in ")]}":
            depth -= 1


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def written(key: str, value: str) -> str:
    """The override `key=value` that `read_override` reads back as this text, with quotes where it takes them."""
    word = f"{key}={value}"
    try:
        if read_override(word) == (key, value):
            return word
    except UserError:
        pass
    quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), value)
    return f"{key}='{quoted}'"


def _parse(words: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """Splits the words into overrides of values, choices of groups and folders to search."""
    overrides, choices, folders = [], {}, []
    for word in words:
        key, value = read_override(word)
        if "@" in word.partition("=")[0] or (key.startswith("hydra") and key != "hydra.searchpath"):
            raise UserError(
                f"of Hydra's own settings only hydra.searchpath is read; received '{word}'; leave it out"
            )
        if key == "method.name":
            raise UserError(f"method.name follows from the method; received '{word}'; say method={value}")
        if key == "images":
            raise UserError(
                f"images follows from the images themselves; received '{word}'; leave it out, or set augment.size and "
                "backbone.stem"
            )
        if key == "hydra.searchpath":
            folders += [str(folder) for folder in (value if isinstance(value, list) else [value])]
        elif key in GROUPS or key.partition(".")[0] in OPTIONAL:
            if value is None and key in OPTIONAL:
                value = "none"
            if not isinstance(value, str) or not value or key not in GROUPS:
                raise UserError(f"{key.partition('.')[0]} takes a name; received '{word}'; see ssl-zoo list")
            choices[key] = value
        else:
            overrides.append("++" + word.lstrip("+"))
    return overrides, choices, folders


def _no_yaml(group: str, name: str, names: Sequence[str]) -> UserError:
    """The error for a name without a YAML file; of a plugin's method it says what its package lacks."""
    plugin = METHODS.announced().get(name) if group == "method" else None
    if plugin is None:
        return unknown_name(group, name, names)
    return UserError(
        f"a method needs its YAML, configs/method/{name}.yaml beside its Python file; the package of '{plugin.value}' "
        f"announces '{name}' and has none; add it, and to the package's data (package-data in its pyproject.toml)"
    )


def _check_headers(values: Mapping[str, Any], chosen: Any, folders: Sequence[Path]) -> None:
    """Refuses a YAML file whose keys Hydra has put into a block named as its group, where nothing reads them."""
    for group in GROUPS:
        block = values.get(group)
        if (isinstance(block, Mapping) and group in block) or (group in OPTIONAL and block):
            raise UserError(
                f"a YAML file of {group}/ begins with the line '# @package _global_'; "
                f"'{group_file(group, str(chosen[group]), folders)}' does not; add the line"
            )


def _check_method(choices: Mapping[str, str], folders: Sequence[Path]) -> None:
    """Refuses an experiment with another method than its own, whose settings it states."""
    experiment, method = choices.get("experiment", "none"), choices.get("method")
    own = None if experiment == "none" else _method_of(experiment, folders)
    if None not in (own, method) and own != method:
        raise UserError(
            f"experiment={experiment} has the settings of method={own} and goes with no other; received "
            f"method={method}; leave out one of the two"
        )


def _method_of(experiment: str, folders: Sequence[Path]) -> str | None:
    """The method that an experiment chooses, itself or by one that it builds on: Hydra does not say which."""
    blocks = yaml.safe_load(group_file("experiment", experiment, folders).read_text()) or {}
    names, own = group_names("experiment", folders), []
    defaults = blocks.get("defaults") if isinstance(blocks, Mapping) else None
    for entry in defaults if isinstance(defaults, list) else []:
        base = str(entry).removeprefix("/experiment/")
        if isinstance(entry, Mapping):
            own.append(entry.get("override /method"))
        elif base in names:
            own.append(_method_of(base, folders))
    return next((str(method) for method in reversed(own) if method), None)  # its own choice comes last


def _merged(folder: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The plain values that Hydra makes of the YAML groups and the overrides, and its choices of groups.

    Raises:
        UserError: Hydra, OmegaConf or PyYAML refuse them, or lose themselves in them: `a=${b} b=${a}`.
    """
    with _in_words(), initialize_config_dir(str(folder), version_base="1.3"):
        composed = hydra_compose("config", list(overrides), return_hydra_config=True)
        return _plain(composed), OmegaConf.to_container(composed.hydra.runtime.choices)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Turns what Hydra, OmegaConf and PyYAML raise into a `UserError`; `a=${b} b=${a}` recurses."""
    try:
        yield
    except UserError:
        raise
    except (
        HydraException,
        OmegaConfBaseException,
        RecursionError,
        ValueError,
        OSError,
        yaml.YAMLError,
    ) as error:
        raise UserError(f"the configuration cannot be composed: {_first_line(error)}") from error


def _plain(composed: DictConfig) -> dict[str, Any]:
    without = {key: composed._get_node(key) for key in composed if key != "hydra"}
    plain = OmegaConf.to_container(OmegaConf.create(without), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _is_small(values: Mapping[str, Any]) -> bool:
    """Whether the views that were composed are those of small images."""
    augment = values.get("augment")
    size = augment.get("size") if isinstance(augment, Mapping) else None
    return isinstance(size, int) and size <= SMALL


def _found(chosen: Any, folders: Sequence[Path]) -> dict[str, str | None]:
    """The recipe and the experiment that took part; Hydra passes an absent optional recipe over."""
    return {
        group: chosen[group] if chosen[group] in group_names(group, folders) else None for group in OPTIONAL
    }


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


def merge(base: Any, over: Any) -> Any:
    """Nested mappings, the second over the first."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return over


def _differences(base: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_merge`: what a view sets apart from what holds for all views."""
    return {
        key: _differences(base[key], value) if isinstance(value, Mapping) else value
        for key, value in view.items()
        if key not in base or base[key] != value
    }
