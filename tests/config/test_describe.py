"""Keys described from their declarations: types, ranges, defaults and docstrings."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from ssl_zoo.config.describe import Key, as_markdown, as_text, keys_of, settings_of
from ssl_zoo.config.schema import RunSettings, SiameseConfig, section


@section
class Inner:
    """An inner block.

    More about it."""

    a: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much of a."""
    b: tuple[int, int] = (1, 2)
    """First line,
    second line."""


@section
class Further(Inner):
    """A block with the keys of another."""

    c: Literal["x", "y"]
    """Which | of two."""


@section
class Outer:
    """All blocks."""

    block: Further = Further(a=0.25, c="y")
    named: dict[str, Inner] = Field(default_factory=dict)
    """Blocks by name."""
    d: int | None = None
    """A number."""


def test_types_ranges_defaults_and_docstrings() -> None:
    """Leaves before blocks; inherited docstrings; the default that a block has where it stands, not in its class."""
    assert [*keys_of(Outer, "top")] == [
        Key("top.d", "whole number; or null", "null", "A number.", ("null",)),
        Key("top.block", "", "", "A block with the keys of another."),
        Key("top.block.a", "number, above 0, at most 1", "0.25", "How much of a."),
        Key("top.block.b", "[whole number, whole number]", "[1,2]", "First line, second line."),
        Key("top.block.c", "x or y", "y", "Which | of two.", ("x", "y")),
        Key("top.named.NAME", "", "", "Blocks by name."),
        Key("top.named.NAME.a", "number, above 0, at most 1", "0.5", "How much of a."),
        Key("top.named.NAME.b", "[whole number, whole number]", "[1,2]", "First line, second line."),
    ]
    assert [key.default for key in keys_of(Further)] == ["0.5", "[1,2]", "no default"]
    assert [key.name for key in keys_of(Further, above=[Inner])] == ["c"]


def test_text_and_markdown() -> None:
    keys = [*keys_of(Outer)]
    assert "  d=null  whole number; or null\n      A number.\n\nblock: A block" in as_text(keys, 80)
    assert "| `block.c` | x or y | `y` | Which \\| of two. |" in as_markdown(keys)
    assert as_markdown(keys).count("| key |") == 3  # a table for each block


@pytest.mark.parametrize("config", [RunSettings, SiameseConfig])
def test_every_key_has_a_meaning(config: type) -> None:
    assert [key.name for key in keys_of(config) if not key.meaning] == []


def test_files_that_set_a_key() -> None:
    settings = dict(settings_of("method.similarity"))
    assert settings["method/simclr"] == "info_nce"
    assert settings["method/simsiam"] == "cosine"
    assert dict(settings_of("linear.lr_candidates"))["protocol/linear_byol"] == "[0.4,0.3,0.2,0.1,0.05]"
    assert settings_of("method.similarity.more") == []
