"""The YAML groups: `GROUP/NAME.yaml` in this package's `configs/`, in those of plugins and in the user's folders.

The user's folders are those that the environment variable SSL_ZOO_CONFIGS and `hydra.searchpath=[FOLDER]` name. Every
YAML file, of protocols and suites too, is read by `read_yaml`. The file of a run may build on others:

    defaults:
      - byol                            # a file of the same group
      - /experiment/imagenet/byol_200   # a file of any group
      - override /method: byol          # in an experiment: the method, data and recipe that it goes with
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ssl_zoo import registry
from ssl_zoo.config.overrides import merge
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import UserError, shown, unknown_name
from ssl_zoo.files.paths import user_path

__all__ = [
    "GROUPS",
    "OPTIONAL",
    "GroupFile",
    "config_folder",
    "group_dirs",
    "group_file",
    "group_names",
    "load_group",
    "read_yaml",
]

CONFIGS = Path(str(files("ssl_zoo.configs")))
GROUPS = ("method", "data", "recipe", "experiment")
OPTIONAL = ("recipe", "experiment")


class GroupFile(NamedTuple):
    """The file of a run, with those that it builds on merged into it."""

    values: dict[str, Any]
    choices: dict[str, str]  # method, data and recipe that an experiment goes with
    names: tuple[str, ...]  # of the files, what is built on first
    parts: tuple[
        tuple[str, dict[str, Any]], ...
    ] = ()  # each file alone: `recipe/digits/vicreg` and what it sets


def group_dirs() -> list[Path]:
    """Returns the folders that hold YAML groups: this package's first, then the plugins' and the user's."""
    named = os.environ.get("SSL_ZOO_CONFIGS", "").split(os.pathsep)
    users = [config_folder(name, "SSL_ZOO_CONFIGS") for name in named if name]
    return [CONFIGS, *registry.config_dirs(), *users]


def config_folder(name: str, source: str) -> Path:
    """Returns the folder of YAML groups that `source` names.

    Raises:
        UserError: there is none.
    """
    folder = user_path(name, source)
    if not os.path.isdir(folder):
        raise UserError(f"{source} must name folders; received '{name}', which is none; create it")
    return folder.resolve()


def group_names(group: str, folders: Sequence[Path] | None = None) -> list[str]:
    """Returns the names that `group=` accepts, for instance `digits/simsiam` for the group `recipe`."""
    roots = [folder / group for folder in folders or group_dirs()]
    files = [(root, file) for root in roots for file in sorted(root.rglob("*.yaml")) if file.is_file()]
    return [*dict.fromkeys(file.relative_to(root).with_suffix("").as_posix() for root, file in files)]


def group_file(group: str, name: str, folders: Sequence[Path] | None = None) -> Path:
    """Returns the YAML file that `group=name` chooses, in the first folder that has it.

    Raises:
        UserError: there is none.
    """
    folders = folders or group_dirs()
    names = group_names(group, folders)
    if name in names:
        return next(file for folder in folders if (file := folder / group / f"{name}.yaml").is_file())
    plugin = METHODS.announced().get(name) if group == "method" else None
    if plugin is None:
        raise unknown_name(group, name, names)
    raise UserError(
        f"a method needs its YAML, configs/method/{name}.yaml beside its Python file; the package of '{plugin.value}' "
        f"announces '{name}' and has none; add it, and to the package's data (package-data in its pyproject.toml)"
    )


def load_group(
    group: str, name: str, folders: Sequence[Path], above: tuple[tuple[str, str], ...] = ()
) -> GroupFile:
    """Reads the file that `group=name` chooses, and what it builds on.

    Raises:
        UserError: there is no such file, it cannot be read, or it builds on itself.
    """
    file = group_file(group, name, folders)
    if (group, name) in above:
        raise UserError(
            f"a file builds on others, not itself; '{file}' comes round to '{name}'; mend it there"
        )
    block = read_yaml(file, f"{group}={name}")
    bases = block.pop("defaults", None) or []
    values: dict[str, Any] = {}
    choices: dict[str, str] = {}
    inherited: dict[str, str] = {}
    names: tuple[str, ...] = ()
    own = (f"{group}/{name}", block)
    parts: tuple[tuple[str, dict[str, Any]], ...] = ()
    for entry in bases if isinstance(bases, list) else [bases]:
        if entry == "_self_":
            values, block = merge(values, block), {}
            parts += (own,)
        elif isinstance(entry, str):
            there, _, base = entry[1:].partition("/") if entry.startswith("/") else (group, "", entry)
            if there not in (*GROUPS, group):
                raise UserError(
                    f"defaults lists files of the groups {', '.join(GROUPS)}; '{file}' has '{entry}'; mend it there"
                )
            _check_base(there, base, folders, file)
            loaded = load_group(there, base, folders, (*above, (group, name)))
            values = merge(values, loaded.values)
            inherited.update(loaded.choices)
            names += loaded.names
            parts += loaded.parts
        elif group == "experiment" and (choice := _choice(entry)) is not None:
            if choice[1] != "none":
                _check_base(*choice, folders, file)
            choices.update([choice])
        else:
            raise UserError(
                "defaults lists names of files, and in an experiment 'override /GROUP: NAME'; "
                f"'{file}' has {shown(entry)}; mend it there"
            )
    parts += () if own in parts else (own,)
    return GroupFile(merge(values, block), {**inherited, **choices}, (*names, name), parts)


def _check_base(group: str, name: str, folders: Sequence[Path], file: Path) -> None:
    """Raises a UserError that tells which file builds on one that does not exist."""
    try:
        group_file(group, name, folders)
    except UserError as error:
        raise UserError(f"'{file}' builds on {group}/{name}: {error}") from error


def _choice(entry: Any) -> tuple[str, str] | None:
    """Returns the group and the name that `override /GROUP: NAME` chooses; None for anything else."""
    if not isinstance(entry, Mapping) or len(entry) != 1:
        return None
    [(key, name)] = entry.items()
    group = str(key).removeprefix("override /")
    return (group, str(name or "none")) if key != group and group in GROUPS else None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Keys are text, `on` and `0.10` too; one that stands twice is refused, of which YAML would keep the last.

    Dates are text, and numbers may be written 1e-3.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012
        letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        earlier_keys = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # YAML refuses it
            if key.value in earlier_keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            earlier_keys.add(key.value)
            if not key.tag.endswith(":merge"):
                key.tag = self.DEFAULT_SCALAR_TAG
        block: dict[Any, Any] = super().construct_mapping(node, deep)
        return block


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(file: Path, what: str) -> dict[str, Any]:
    """Reads a YAML file that holds a block of keys; one without any is an empty block.

    Args:
        file: its path.
        what: what it is in a message, for instance "a suite".

    Raises:
        UserError: it cannot be read, a key stands twice, or it holds something else.
    """
    try:
        block = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{what} is a YAML file; '{file}' cannot be read as one: {reason}; mend it there"
        ) from error
    if block is not None and not isinstance(block, dict):
        raise UserError(f"{what} is a block of keys; '{file}' holds {shown(block)}; mend it there")
    return block or {}
