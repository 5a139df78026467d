"""Overrides: `key=value` on the command line and in Python, with Hydra's grammar for the value.

- [0] https://hydra.cc/docs/1.3/advanced/override_grammar/basic/; of it one value for each key, without sweeps
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Transformer
from hydra.errors import HydraException

from ssl_zoo.errors import UserError, shown

__all__ = ["merge", "override_list", "read_override", "sweep_of", "to_nested", "write_override"]

# Of an override: characters of its key, and brackets that stand within one another, each at most.
LONGEST_KEY, DEEPEST = 200, 16
MOST_VALUES = 10_000  # of a key in a sweep
_PARSER = OverridesParser.create()
_BRACES = re.compile(r"[^\s\[\]{}()'\"$,\\][^\[\]{}()'\"$\\]*(\{[^{}()'\"$\\]+\}[^\[\]{}()'\"$\\]*)+")


def read_override(override: str, *, commas: bool = False) -> tuple[str, Any]:
    """Returns the key and the value of an override, the value in Hydra's syntax: numbers, lists, quoted text.

    Args:
        override: as on the command line.
        commas: whether `key=a,b` is the list [a, b]; otherwise it is refused.

    Raises:
        UserError: it cannot be read.
    """
    if not override.partition("=")[1] or override[:1] in ("-", "="):
        raise UserError(f"options are written key=value, for instance epochs=100; received '{override}'")
    if len(override.partition("=")[0]) > LONGEST_KEY or max(_depths(override), default=0) > DEEPEST:
        raise UserError(
            f"a key has at most {LONGEST_KEY} characters, and brackets in a value stand {DEEPEST} deep at most; "
            f"received '{override}'; shorten it"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in override):  # a byte that the locale could not decode
        raise UserError(
            f"options are text in the locale's encoding; received '{override}'; rename the file or folder, "
            "or set LC_ALL=C.UTF-8 if the letters are UTF-8"
        )
    try:
        parsed = _parsed(override)
    except (HydraException, ValueError) as error:  # ValueError: int() of more than 4,300 digits
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        key, _, value = override.partition("=")
        plain = re.fullmatch(r"[\w.]+", key) and re.fullmatch(r"[^'\"\\]{1,100}", value)
        example = f"{key}='{value}'" if plain else "data.train='my folder'"
        raise UserError(
            f"'{override}' cannot be read as key=value: {reason}; put values with spaces, "
            f'commas, brackets or accents in quotes, for instance "{example}"'
        ) from error
    if commas and parsed.is_choice_sweep():
        return parsed.key_or_group, list(parsed.sweep_iterator(Transformer.identity))
    if parsed.is_delete() or parsed.is_sweep_override():
        raise UserError(f"options set one value each, key=value; received '{override}'")
    return parsed.key_or_group, parsed.value()


def sweep_of(override: str) -> list[str]:
    """Returns the overrides that one with several values stands for, in Hydra's grammar; itself where it has one.

    Several values are `key=a,b`, `key=choice(a,b)` and `key=range(0,5)`; commas in brackets and quotes are of a value.
    Hydra's `+key`, which adds a key, is the key itself, as in `read_override`.

    Raises:
        UserError: it cannot be read, or its values are not to be counted, too many, or come in a random order.
    """
    override = re.sub(r"^\+{1,2}", "", override)
    key = override.partition("=")[0]
    try:
        parsed = _parsed(override)
    except (HydraException, ValueError):
        read_override(override)  # which says why
        raise
    if not parsed.is_sweep_override():
        read_override(override)
        return [override]
    wanted = f"write {key}=a,b or {key}=range(0,5)"
    if (
        not parsed.is_discrete_sweep()
        or isinstance(parsed.value(), Glob)
        or getattr(parsed.value(), "shuffle", False)
    ):
        raise UserError(f"a sweep has values to be counted, in an order; received '{override}'; {wanted}")
    try:
        values = [*itertools.islice(parsed.sweep_string_iterator(), MOST_VALUES + 1)]
    except ValueError as error:  # range(0,5,0)
        raise UserError(f"a range has a step that is not 0; received '{override}'; {wanted}") from error
    if not 0 < len(values) <= MOST_VALUES:
        raise UserError(f"a sweep has 1 to {MOST_VALUES:,} values; received '{override}'; {wanted}")
    return [f"{key}={value}" for value in values]


def _parsed(override: str) -> Override:
    """Parses an override; a value with braces within it, which Hydra does not take, is text: shards-{0..9}.tar."""
    try:
        return _PARSER.parse_override(override)
    except HydraException:
        key, _, value = override.partition("=")
        if not _BRACES.fullmatch(value):
            raise
        return _PARSER.parse_override(f"{key}='{value}'")


def write_override(key: str, value: str) -> str:
    """Returns the override `key=value` that `read_override` reads back as this text, with quotes where needed."""
    override = f"{key}={value}"
    try:
        if read_override(override) == (key, value):
            return override
    except UserError:
        pass
    quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), value)
    return f"{key}='{quoted}'"


def override_list(overrides: Any) -> list[str]:
    """Returns the overrides as a list, as they come from the command line or from Python.

    Raises:
        UserError: they are no list of strings.
    """
    is_series = isinstance(overrides, Iterable) and not isinstance(overrides, (str, bytes, Mapping))
    listed = [*overrides] if is_series else None
    if listed is None or not all(isinstance(override, str) for override in listed):
        raise UserError(
            f"overrides are a list of strings, key=value; received {shown(overrides)}; write for instance "
            "['method=byol', 'epochs=100']"
        )
    return listed


def to_nested(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Turns dotted keys into nested blocks, later ones over earlier ones: `("knn.k", 20)` is `{"knn": {"k": 20}}`."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        for part in reversed(key.split(".")):
            value = {part: value}
        values = merge(values, value)
    return values


def merge(base: Any, over: Any) -> Any:
    """Lays nested mappings over one another, the second over the first."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merge(base.get(key), value) for key, value in over.items()}}
    return over


def _depths(text: str) -> Iterator[int]:
    """Yields the number of open brackets after each opening one."""
    depth = 0
    for char in text:
        if char in "([{":
            depth += 1
            yield depth
        elif char in ")]}":
            depth -= 1
