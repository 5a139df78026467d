"""`ssl-zoo doctor`: versions, devices, and what `auto` picks on this machine and why."""

from __future__ import annotations

import os

import torch
from rich.console import Console
from rich.table import Table

from ssl_zoo import registry
from ssl_zoo.config import compose, group_dirs
from ssl_zoo.result import environment
from ssl_zoo.training.hardware import COMPILE, plan

__all__ = ["show"]


def show() -> None:
    """Prints what a report of a problem should contain."""
    chosen = plan(compose())
    found = environment(chosen)
    table = Table(box=None, show_header=False, padding=(0, 2))
    rows = {
        "processor": f"{found['processor']}, {found['cpu_cores']} cores, {found['cpu_threads']} threads used",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "trainer.accelerator=auto": chosen.device.type,
        "precision=auto": f"{chosen.precision}: {chosen.reason}",
        "compile=auto": f"{str(chosen.compile).lower()}: {COMPILE}",
        "commit": found["git_commit"] or "an installed package",
        "platform": found["platform"],
        "configs": os.pathsep.join(str(folder) for folder in group_dirs()),
        "plugins": ", ".join(f"{name} ({_state(name)})" for name in registry.plugins()) or "none",
        **found["versions"],
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", str(value))
    Console(highlight=False, soft_wrap=True).print(table)


def _state(name: str) -> str:
    try:
        registry.get(name)
    except ValueError as error:
        return str(error)
    return "loads"
