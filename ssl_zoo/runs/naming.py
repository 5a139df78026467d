"""A run in words: the method's name, and on which axes it stands elsewhere than the paper."""

from __future__ import annotations

import dataclasses
from typing import Any

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.equation import GridPoint, Siamese

__all__ = ["differing_axes", "variant"]


def differing_axes(config: RunConfig) -> dict[str, Any]:
    """The axes on which a run differs from the method it names, with the run's values."""
    method = METHODS.get(config.method.name).load()
    if not issubclass(method, Siamese) or not isinstance(config.method, SiameseConfig):
        return {}
    here, paper = dataclasses.asdict(GridPoint.of(config.method)), dataclasses.asdict(method.paper)
    return {axis: value for axis, value in here.items() if value != paper[axis]}


def variant(config: RunConfig) -> str:
    """For instance `simclr, predictor: mlp, stop_gradient: yes`; just the name where nothing differs."""
    overrides = {True: "yes", False: "no"}
    parts = [f"{axis}: {overrides.get(value, value)}" for axis, value in differing_axes(config).items()]
    return ", ".join([config.method.name, *parts])
