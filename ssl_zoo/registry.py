"""The method registry: a decorator, a dict, and the entry-point group for other packages.

    @register("simsiam")
    class SimSiam(Siamese): ...

Another package adds a method without touching this one: its class is registered by the same decorator and
named in the package's `pyproject.toml`, and its YAML lies in `configs/method/` beside the Python file:

    [project.entry-points."ssl_zoo.methods"]
    barlowtwins = "ssl_zoo_barlowtwins:BarlowTwins"
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ssl_zoo.config.schema import MethodConfig, SiameseConfig
from ssl_zoo.errors import UserError, unknown_name

if TYPE_CHECKING:
    from ssl_zoo.method import Method

__all__ = ["GROUP", "Entry", "config_dirs", "get", "is_siamese", "plugins", "register"]

GROUP = "ssl_zoo.methods"
M = TypeVar("M", bound="type[Method]")


@dataclass(frozen=True)
class Entry:
    """A registered method: its name, its class and the class of its configuration."""

    name: str
    method: type[Method]
    config: type[MethodConfig]

    @property
    def summary(self) -> str:
        """The first line of the method's docstring."""
        return (self.method.__doc__ or "").strip().split("\n", 1)[0]


_entries: dict[str, Entry] = {}


def register(name: str, config: type[MethodConfig] = SiameseConfig) -> Callable[[M], M]:
    """Class decorator: makes a method known as `method=name`.

    Args:
        name: the name on the command line; its defaults stand in `configs/method/NAME.yaml`.
        config: the frozen dataclass that the YAML's `method:` block fills in.

    Raises:
        ValueError: another class has this name already.
    """

    def decorate(method: M) -> M:
        known = _entries.get(name)
        if known is not None and known.method.__qualname__ != method.__qualname__:
            raise ValueError(f"method '{name}' is registered twice: {known.method} and {method}; rename one")
        _entries[name] = Entry(name, method, config)
        return method

    return decorate


def plugins() -> dict[str, EntryPoint]:
    """The methods that other installed packages announce, by name; nothing is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def config_dirs() -> list[Path]:
    """The `configs/` folders beside the plugins' Python files; nothing is imported."""
    folders = []
    for point in plugins().values():
        spec = find_spec(point.module.partition(".")[0])
        if spec is not None and spec.origin is not None:
            folder = Path(spec.origin).parent / "configs"
            if folder.is_dir() and folder not in folders:
                folders.append(folder)
    return folders


def is_siamese(name: str) -> bool:
    """Whether a method is known to have a `SiameseConfig`, as all of `methods/` have; nothing is imported."""
    if name in _entries:
        return _entries[name].config is SiameseConfig
    spec = find_spec("ssl_zoo.methods")
    own = spec is not None and spec.origin is not None and name.isidentifier() and not name.startswith("_")
    return own and (Path(str(spec and spec.origin)).parent / f"{name}.py").is_file()


def get(name: str) -> Entry:
    """Looks a method up, in this package and in the installed plugins.

    Raises:
        UserError: no such method (the message lists those there are), or its plugin cannot be imported.
    """
    importlib.import_module("ssl_zoo.methods")
    announced = plugins()
    if name not in _entries and name in announced:
        try:
            announced[name].load()
        except Exception as error:
            raise UserError(
                f"method '{name}' comes from the package of '{announced[name].value}', which cannot be imported: "
                f"{type(error).__name__}: {error}; repair or uninstall that package"
            ) from error
    if name not in _entries:
        raise unknown_name("method", name, {*_entries, *announced})
    return _entries[name]
