"""Nested blocks as dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["to_dotted"]


def to_dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested blocks into dotted keys, as `overrides.to_nested` reads them."""
    dotted = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        dotted.update(to_dotted(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return dotted
