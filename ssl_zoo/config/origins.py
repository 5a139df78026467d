"""Where the values of a run stand: the YAML file, the override or the default that each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ssl_zoo.config.compose import compose_layers
from ssl_zoo.config.mapping import from_mapping, to_mapping
from ssl_zoo.config.nested import to_dotted

__all__ = ["Value", "values_of"]

DEFAULT = "default"


class Value(NamedTuple):
    """The value that a key has in a run."""

    key: str  # dotted
    value: Any
    origin: str  # `recipe/digits/byol`, `override`, `default` …


def values_of(key: str, overrides: Sequence[str]) -> list[Value]:
    """Returns the values of a key, or of the keys of a block, that a run with these overrides has; empty without such.

    Raises:
        UserError: as in `compose`.
    """
    composed = compose_layers(overrides)
    layers = [("the images", {"data": composed.values.get("data")}), *composed.layers]
    values = to_dotted(to_mapping(from_mapping(composed.values)))
    return [
        Value(name, value, _origin(name, value, layers))
        for name, value in values.items()
        if name == key or name.startswith(f"{key}.")
    ]


def _origin(key: str, value: Any, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Returns the last layer that sets a key; one that sets its whole block to a value, as null, counts too."""
    for origin, layer in layers[::-1]:
        block: Any = layer
        for part in key.split("."):
            if not isinstance(block, Mapping) or part not in block:
                break
            block = block[part]
        else:
            by_the_images = key.startswith("data.") and bool(block != value)  # see `config.pixels`
            return origin + ", and the images" * by_the_images
        if not isinstance(block, Mapping):
            return origin
    return DEFAULT
