"""Registries of what can be added by name, one for each kind of thing.

    @register("simsiam")                                  a method (ssl_zoo.config.registries)
    class SimSiam(Siamese): ...

Another package adds to a registry without touching this one. Its function or class is registered by the same
decorator and named in the package's `pyproject.toml`; YAML lies in a folder `configs/` beside its Python file:

    [project.entry-points."ssl_zoo.methods"]
    barlowtwins = "ssl_zoo_example.barlowtwins:BarlowTwins"

Names are known without an import; the code behind one is imported when it is used. See docs/adding.md.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from ssl_zoo.errors import UserError, unknown_name

__all__ = ["Entry", "Registry", "config_dirs", "plugins", "resolve"]

GROUPS = tuple(f"ssl_zoo.{kind}" for kind in ("methods", "data", "protocols", "exporters", "metrics"))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something registered.

    Attributes:
        name: as on the command line and in YAML.
        target: the function or class; "module:attribute" where it is imported by `load` only.
        config: the class of its settings.
        hidden: whether it is only looked up, by name, and listed nowhere: nobody chooses it.
    """

    name: str
    target: Any
    config: type[Any]
    hidden: bool = False

    def load(self) -> Any:
        """Returns the function or class."""
        return resolve(self.target)

    @property
    def summary(self) -> str:
        """The first line of the docstring of the function or class."""
        return (self.load().__doc__ or "").strip().split("\n", 1)[0]


E = TypeVar("E", bound=Entry)
T = TypeVar("T")


class Registry(Generic[E]):
    """Things of one kind by name: those of this package and those that other packages announce.

    Args:
        kind: for messages: "method".
        group: of the entry points.
        entry: the class of the entries.
        package: a package whose files each register one thing by the file's name when they are imported.
    """

    def __init__(self, kind: str, group: str, entry: type[E], package: str | None = None) -> None:
        self.kind, self.group, self.entry, self.package = kind, group, entry, package
        self._entries: dict[str, E] = {}

    def register(self, name: str, **attributes: Any) -> Callable[[T], T]:
        """Decorator that adds a function or class; `attributes` are those of the entry.

        Raises:
            ValueError: something else has this name already.
        """

        def decorate(target: T) -> T:
            self.add(self.entry(name=name, target=target, **attributes))
            return target

        return decorate

    def add(self, entry: E) -> None:
        """Adds an entry.

        Raises:
            ValueError: something else has this name already.
        """
        known = self._entries.get(entry.name)
        if known is not None and _qualified(known.target) != _qualified(entry.target):
            raise ValueError(
                f"{self.kind} '{entry.name}' is registered twice: {known.target} and {entry.target}; rename one"
            )
        self._entries[entry.name] = entry

    def names(self) -> list[str]:
        """Returns all names, this package's first; nothing is imported."""
        listed = (entry.name for entry in self.registered())
        return list(dict.fromkeys([*self._files(), *listed, *self.announced()]))

    def registered(self) -> list[E]:
        """Returns the entries that are known without an import of a plugin."""
        return [entry for entry in self._entries.values() if not entry.hidden]

    def announced(self) -> dict[str, EntryPoint]:
        """Returns what other installed packages announce, by name; nothing is imported."""
        return {point.name: point for point in plugins() if point.group == self.group}

    def is_file(self, name: str) -> bool:
        """Whether a file of `package` registers this name and is not imported yet."""
        return name not in self._entries and name in self._files()

    def get(self, name: str) -> E:
        """Looks a name up, in this package and in the installed plugins.

        Raises:
            UserError: no such name (the message lists those there are), or its plugin cannot be imported.
        """
        if self.is_file(name):
            importlib.import_module(f"{self.package}.{name}")
        if name not in self._entries and name in (announced := self.announced()):
            self._load(announced[name])
        if name not in self._entries:
            raise unknown_name(self.kind, name, self.names())
        return self._entries[name]

    def all(self) -> dict[str, E]:
        """Returns everything by name, imported: this package's first, in the order in which they were registered."""
        return {name: self.get(name) for name in self.names()}

    def _load(self, point: EntryPoint) -> None:
        try:
            point.load()
            if point.name not in self._entries:
                raise ValueError(f"it registers no {self.kind} '{point.name}'")
        except Exception as error:
            raise UserError(
                f"{self.kind} '{point.name}' comes from the package of '{point.value}', which cannot be imported: "
                f"{type(error).__name__}: {error}; repair or uninstall that package"
            ) from error

    def _files(self) -> list[str]:
        spec = None if self.package is None else find_spec(self.package)
        if spec is None or spec.origin is None:
            return []
        return sorted(file.stem for file in Path(spec.origin).parent.glob("[!_]*.py"))


def resolve(target: Any) -> Any:
    """Returns what "module:attribute" names; anything but text as it is."""
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _qualified(target: Any) -> str:
    """Returns a name that stays the same where a module is imported anew after its first import failed."""
    return target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"


def plugins() -> list[EntryPoint]:
    """Returns all that other installed packages announce, of any kind; nothing is imported."""
    return _plugins(tuple(sys.path))


@lru_cache
def _plugins(_: tuple[str, ...]) -> list[EntryPoint]:
    announced = entry_points()  # reads the metadata of all installed packages
    return [point for group in GROUPS for point in announced.select(group=group)]


def config_dirs() -> list[Path]:
    """Returns the `configs/` folders beside the plugins' Python files; nothing is imported."""
    folders = []
    for module in dict.fromkeys(point.module.partition(".")[0] for point in plugins()):
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent / "configs"
            if folder.is_dir() and folder not in folders:
                folders.append(folder)
    return folders
