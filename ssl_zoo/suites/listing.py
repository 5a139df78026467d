"""The suites there are, and `ssl-zoo bench` without overrides, which lists them."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

from ssl_zoo.config.groups import group_dirs, read_yaml
from ssl_zoo.errors import UserError
from ssl_zoo.terminal.console import Console

__all__ = ["show_suites", "suite_files", "summaries"]

HOW = "ssl-zoo bench suite=NAME [data=... seeds=3 workers=2 budget=quick|full, and any overrides of training]"


def suite_files() -> dict[str, Path]:
    """Returns all suites by name: this package's, then the plugins' and the user's."""
    roots = [
        Path(str(resources("ssl_zoo.benchmarks"))) / "suites",
        *(folder / "suite" for folder in group_dirs()),
    ]
    files = [file for root in roots for file in sorted(root.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}  # of two with the same name the first


def summaries() -> dict[str, str]:
    """Returns the paper, section and title of each suite, by name."""
    lines = {}
    for name, file in sorted(suite_files().items()):
        try:
            block = read_yaml(file, "a suite")
            lines[name] = f"{block['paper']}, {block['section']}: {block['title']}"
        except (UserError, KeyError):
            lines[name] = f"cannot be read: {file}"
    return lines


def show_suites() -> None:
    """Prints the suites, and how one is run."""
    lines = [f"{name:<35} {summary}" for name, summary in summaries().items()]
    Console().print("\n".join([*lines, "", HOW]))
