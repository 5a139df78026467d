"""`ssl-zoo doctor`: versions, devices, and what `auto` picks on this machine and why."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from rich.table import Table

from ssl_zoo.build import hardware_for
from ssl_zoo.cli.keys import WITH_KEYS
from ssl_zoo.cli.output import nothing_on_stdout, print_json
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_dirs
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import COMPILE, Hardware
from ssl_zoo.metrics import METRICS
from ssl_zoo.registry import Registry
from ssl_zoo.run_dir.environment import environment, missing_extras, unmet_requirements
from ssl_zoo.terminal.console import Console, styled

__all__ = ["REGISTRIES", "show_machine", "show_speed"]

REGISTRIES: tuple[Registry[Any], ...] = (*WITH_KEYS, METRICS)


def show_machine(*, as_json: bool = False) -> None:
    """Prints what a report of a problem should contain, as a table or as JSON."""
    chosen = hardware_for(compose())
    machine = environment(chosen)
    if as_json:
        print_json(_machine(chosen, machine))
        return
    table = Table(box=None, show_header=False, padding=(0, 2))
    rows = {
        "processor": f"{machine['processor']}, {machine['cpu_cores']} cores, {machine['cpu_threads']} threads used",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "trainer.accelerator=auto": chosen.device.type,
        "precision=auto": f"{chosen.precision}: {chosen.reason}",
        "compile=auto": f"{str(chosen.compile).lower()}: {COMPILE}",
        "commit": machine["git_commit"] or "an installed package",
        "platform": machine["platform"],
        "configs": os.pathsep.join(str(folder) for folder in group_dirs()),
        "plugins": ", ".join(f"{kind.kind} {name} ({_state(kind, name)})" for kind, name in _plugins())
        or "none",
        "lacking": ", ".join(unmet_requirements()) or "nothing",
        "extras not installed": _extras(missing_extras()),
        **machine["versions"],
    }
    for name, value in rows.items():
        table.add_row(styled((name, "bold")), str(value))
    Console().print(table)


def _machine(chosen: Hardware, machine: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "auto": {
            "accelerator": chosen.device.type,
            "precision": chosen.precision,
            "precision_reason": chosen.reason,
            "compile": chosen.compile,
        },
        "configs": [str(folder) for folder in group_dirs()],
        "plugins": [
            {"kind": kind.kind, "name": name, "state": _state(kind, name)} for kind, name in _plugins()
        ],
        "lacking": [*unmet_requirements()],
        "extras_not_installed": [*missing_extras()],
    }


def show_speed(overrides: Sequence[str], *, as_json: bool = False) -> None:
    """Trains for some steps and prints how fast, what the time goes to, and what could be done about it.

    Raises:
        UserError: the overrides of the run, or what they name, are wrong.
    """
    # By name, as mypy doesn't know of the rooms that are mapped into the package.
    with nothing_on_stdout(as_json):
        speed = importlib.import_module("ssl_zoo.benchmarks.speed.step_times").quick(overrides)
    if as_json:
        print_json(dataclasses.asdict(speed))
        return
    table = Table(box=None, show_header=False, padding=(0, 2))
    rows = {
        "views/s": f"{speed.views_per_second:.0f} (batches of {speed.batch_size}, {speed.views} views each; "
        f"{speed.steps} steps in {speed.seconds:.1f} s)",
        "on": f"{speed.device}, {speed.precision}, {speed.threads} threads",
        "epoch": f"{speed.epoch_seconds:.3g} s for {speed.images} images, without measurements and checkpoints",
        "memory": f"{speed.peak_memory_mb:.0f} MiB at most",
        **{part: f"{fraction:.1%}" for part, fraction in speed.fractions.items()},
        "bottleneck": f"{speed.bottleneck}. {speed.advice}",
    }
    for name, value in rows.items():
        table.add_row(styled((name, "bold")), value)
    Console().print(table)


def _plugins() -> Iterator[tuple[Registry[Any], str]]:
    """Yields what other packages announce: the registry and the name."""
    for registry in REGISTRIES:
        for name in registry.announced():
            yield registry, name


def _extras(names: Sequence[str]) -> str:
    return f"{', '.join(names)}: pip install 'ssl-zoo[{','.join(names)}]'" if names else "none"


def _state(registry: Registry[Any], name: str) -> str:
    """Returns whether a plugin can be imported, and a method be trained; if not, why."""
    try:
        registry.get(name)
        if registry is METHODS:
            compose([f"method={name}"])
    except UserError as error:
        return str(error)
    return "loads"
