"""`ssl-zoo bench` without words: the suites there are."""

from __future__ import annotations

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ssl_zoo.suites.read import suite_files

__all__ = ["show_suites"]

HOW = "ssl-zoo bench suite=NAME [data=... seeds=3 workers=2 budget=quick|full, and any words of training]"


def show_suites() -> None:
    """Prints all suites: name, paper, section and title."""
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
    for name, file in sorted(suite_files().items()):
        try:
            block = yaml.safe_load(file.read_text())
            told = f"{block['paper']}, {block['section']}: {block['title']}"
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            told = f"cannot be read: {file}"
        table.add_row(name, escape(told))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"\n{escape(HOW)}")
