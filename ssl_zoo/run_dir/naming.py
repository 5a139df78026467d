"""The name of a run: its method, and the axes on which it differs from the paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.equation import GridPoint, Siamese

__all__ = ["differing_axes", "variant"]


def differing_axes(config: RunConfig) -> dict[str, Any]:
    """Returns the axes on which a run differs from the method it names, with the run's values."""
    method = METHODS.get(config.method.name).load()
    if not issubclass(method, Siamese) or not isinstance(config.method, SiameseConfig):
        return {}
    here, paper = dataclasses.asdict(GridPoint.of(config.method)), dataclasses.asdict(method.paper)
    differing = {axis: value for axis, value in here.items() if value != paper[axis]}
    if config.start_from is not None:
        differing["start_from"] = Path(config.start_from).name
    return differing


def variant(config: RunConfig) -> str:
    """Returns for instance `simclr, predictor: mlp, stop_gradient: yes`; just the name where nothing differs."""
    spelled = {True: "yes", False: "no"}
    parts = [f"{axis}: {spelled.get(value, value)}" for axis, value in differing_axes(config).items()]
    return ", ".join([config.method.label, *parts])
