"""`ssl-zoo bench` without words: the suites there are."""

from __future__ import annotations

import yaml

from ssl_zoo.suites.files import suite_files
from ssl_zoo.terminal.console import Console

__all__ = ["show_suites", "summaries"]

HOW = "ssl-zoo bench suite=NAME [data=... seeds=3 workers=2 budget=quick|full, and any overrides of training]"


def summaries() -> dict[str, str]:
    """All suites by name, each with its paper, section and title."""
    told = {}
    for name, file in sorted(suite_files().items()):
        try:
            block = yaml.safe_load(file.read_text())
            told[name] = f"{block['paper']}, {block['section']}: {block['title']}"
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            told[name] = f"cannot be read: {file}"
    return told


def show_suites() -> None:
    """Prints them, and how one is run."""
    lines = [f"{name:<35} {told}" for name, told in summaries().items()]
    Console().print("\n".join([*lines, "", HOW]))
