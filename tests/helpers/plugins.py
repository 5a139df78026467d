"""Plugins that are installed on this machine: hidden from every test but the contracts, which hold for them too."""

from __future__ import annotations

import functools
import sys
from importlib.metadata import EntryPoint, distributions

from ssl_zoo import registry

INSTALLED = tuple(sys.path)  # when the tests start; a test that adds a plugin adds its folder
find_all = registry._plugins


@functools.lru_cache
def find_added(path: tuple[str, ...]) -> list[EntryPoint]:
    """Returns what the packages in folders of `path` announce that a test has added."""
    added = [folder for folder in path if folder not in INSTALLED]
    points = [point for package in distributions(path=added) for point in package.entry_points]
    return [point for point in points if point.group in registry.GROUPS]


def installed(group: str) -> list[str]:
    """Returns the names that installed plugins announce for a registry; nothing is imported."""
    return [point.name for point in find_all(INSTALLED) if point.group == f"ssl_zoo.{group}"]
