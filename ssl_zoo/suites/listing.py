"""`ssl-zoo bench` without words: the suites there are."""

from __future__ import annotations

import yaml
from rich.console import Console

from ssl_zoo.suites.read import suite_files

__all__ = ["show_suites"]

HOW = "ssl-zoo bench suite=NAME [data=... seeds=3 workers=2 budget=quick|full, and any words of training]"


def show_suites() -> None:
    """Prints all suites: name, paper, section and title."""
    lines = []
    for name, file in sorted(suite_files().items()):
        try:
            block = yaml.safe_load(file.read_text())
            told = f"{block['paper']}, {block['section']}: {block['title']}"
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            told = f"cannot be read: {file}"
        lines.append(f"{name:<35} {told}")
    Console(highlight=False, soft_wrap=True, markup=False).print("\n".join([*lines, "", HOW]))
