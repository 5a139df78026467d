"""The example package as pip installs it, for the length of a test."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest

from ssl_zoo.cli import doctor
from ssl_zoo.errors import UserError

REGISTRIES = {registry.group.removeprefix("ssl_zoo."): registry for registry in doctor.REGISTRIES}
EXAMPLE = Path(__file__).parents[2] / "examples" / "ssl-zoo-example"
PACKAGE = "ssl_zoo_example"
# What the package announces: for instance {"methods": "barlowtwins"}; a module has the name of what it registers.
ADDED: dict[str, str] = dict(
    re.findall(r'"ssl_zoo\.(\w+)"\]\n(\w+) = "ssl_zoo_example\.\2"', (EXAMPLE / "pyproject.toml").read_text())
)


def install_example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies the package into a folder of `sys.path`, with the metadata that announces it.

    Everything else is registered first: what a test imports for the first time would be forgotten after it.
    """
    for registry in REGISTRIES.values():
        for name in registry.names():
            with contextlib.suppress(UserError):  # a broken plugin, whose contract test fails
                registry.get(name)
    shutil.copytree(EXAMPLE / PACKAGE, folder / PACKAGE)
    info = folder / f"{PACKAGE}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ssl-zoo-example\nVersion: 0.1.0\n")
    groups = [f"[ssl_zoo.{group}]\n{name} = {PACKAGE}.{name}\n" for group, name in ADDED.items()]
    (info / "entry_points.txt").write_text("".join(groups))
    monkeypatch.syspath_prepend(str(folder))
    for kind, registry in REGISTRIES.items():
        # A test that imported the package from its folder has registered what is announced here.
        others = {name: entry for name, entry in registry._entries.items() if name != ADDED.get(kind)}
        monkeypatch.setattr(registry, "_entries", others)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, name)
    importlib.invalidate_caches()
