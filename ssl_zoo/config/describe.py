"""The help of a key: its type, range, default and meaning, as its schema declares them.

`ssl-zoo VERB --help`, `ssl-zoo config --describe KEY` and docs/keys.md are made of it. Types and ranges come from
pydantic's JSON schema. Docstrings are read from the source when help is asked for: pydantic's own
`use_attribute_docstrings` reads it at each start, for 0.1 s, and leaves inherited keys without any.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, get_args

from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from ssl_zoo.config.groups import GROUPS, group_file, group_names, read_yaml
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.config.schema.types import LARGEST
from ssl_zoo.config.validate import written_value

__all__ = ["Key", "as_markdown", "as_text", "keys_of", "settings_of"]

REQUIRED = "no default"
QUOTES = "''"  # an empty text
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "path": "path",
    "boolean": "true or false",
    "null": "null",
}
LIMITS = {
    "exclusiveMinimum": "above {}",
    "minimum": "at least {}",
    "exclusiveMaximum": "below {}",
    "maximum": "at most {}",
}


class Key(NamedTuple):
    """A key of a configuration, or a block of keys."""

    name: str  # dotted, as on the command line
    kind: str  # type and range; empty for a block
    default: str  # as on the command line
    meaning: str
    values: tuple[str, ...] = ()  # all that it takes, or some of them where others are numbers, text or lists

    @property
    def is_block(self) -> bool:
        """Whether it holds keys and takes no value itself."""
        return not self.kind


def keys_of(
    cls: type[Any], prefix: str = "", defaults: Any = None, above: Sequence[type[Any]] = ()
) -> Iterator[Key]:
    """Yields the keys of a configuration class, those of a block after the block.

    Args:
        cls: made with `section`.
        prefix: where `cls` stands: "method" for `method.symmetric`.
        defaults: the block's default in the class that holds it, whose values differ from those of `cls` itself.
        above: classes whose keys are left out where `cls` inherits them too: a named view has those of `augment`.
    """
    fields: dict[str, Any] = cls.__pydantic_fields__
    properties = _properties(cls)  # type: ignore[arg-type]
    bases = {*cls.__mro__} & {base for known in above for base in known.__mro__}
    inherited = {name for base in bases for name in getattr(base, "__annotations__", ())}
    meanings = _docstrings(cls)  # type: ignore[arg-type]
    leaves = [name for name in fields if _section_in(fields[name].annotation) is None]
    for name in [*leaves, *(name for name in fields if name not in leaves)]:
        if name in inherited:
            continue
        path = f"{prefix}.{name}" if prefix else name
        field, block = fields[name], _section_in(fields[name].annotation)
        if defaults is not None:
            default = getattr(defaults, name)
        else:  # pydantic 2.10 asks for `validated_data` of every factory, none of which takes it here
            default = field.get_default(call_default_factory=True, validated_data={})
        if block is None:
            shown = REQUIRED if default is PydanticUndefined else written_value(default)
            values = tuple(dict.fromkeys(_values(properties[name])))
            yield Key(path, _kind(properties[name]), shown, meanings.get(name, ""), values)
            continue
        by_name = isinstance(default, dict)
        path += ".NAME" if by_name else ""
        yield Key(path, "", "null" if default is None else "", meanings.get(name) or _summary(block))
        inner = default if dataclasses.is_dataclass(default) else None
        yield from keys_of(block, path, inner, above=[cls] if by_name else [])


def as_text(keys: Sequence[Key], width: int) -> str:
    """Returns keys as lines for a terminal of this width."""
    lines = []
    for key in keys:
        if key.is_block:
            lines += ["", *textwrap.wrap(f"{key.name}: {key.meaning}", width, subsequent_indent="  ")]
            continue
        value = f" ({REQUIRED})" if key.default == REQUIRED else f"={key.default or QUOTES}"
        lines.append(f"  {key.name}{value}  {key.kind}")
        indent = " " * 6
        lines += textwrap.wrap(key.meaning, width, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines).strip("\n") + "\n"


def as_markdown(keys: Sequence[Key]) -> str:
    """Returns keys as Markdown, a table for each block."""
    lines = list[str]()
    head = ["", "| key | type | default | meaning |", "|---|---|---|---|"]
    open_table = False
    for key in keys:
        if key.is_block:
            lines += ["", f"### `{key.name}`", "", key.meaning]
            open_table = False
            continue
        if not open_table:
            lines += head
            open_table = True
        default = key.default if key.default == REQUIRED else f"`{key.default or QUOTES}`"
        cells = (f"`{key.name}`", key.kind, default, key.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines).strip("\n") + "\n"


def settings_of(key: str) -> list[tuple[str, str]]:
    """Returns the YAML files that set a key, as `method/byol`, with their values."""
    settings = []
    for group in (*GROUPS, "protocol"):
        for name in group_names(group):
            values = to_dotted(read_yaml(group_file(group, name), f"{group}={name}"))
            if key in values:
                settings.append((f"{group}/{name}", written_value(values[key])))
    return settings


def _section_in(annotation: Any) -> type[Any] | None:
    """Returns the configuration class that a type consists of, `X | None` and `dict[str, X]` too."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    return None


def _kind(schema: dict[str, Any]) -> str:
    """Describes the values that a JSON schema takes."""
    if "anyOf" in schema:
        return "; or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        *others, last = (written_value(value) for value in schema.get("enum", [schema.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if "prefixItems" in schema:
        return f"[{', '.join(_kind(item) for item in schema['prefixItems'])}]"
    if schema.get("type") == "array":
        return f"list of: {_kind(schema['items'])}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties", True)  # of any values pydantic 2.10 says nothing
        return f"keys, each with: {_kind({} if values is True else values)}"
    limits = [
        text.format(f"{schema[limit]:g}")
        for limit, text in LIMITS.items()
        if limit in schema and schema[limit] < LARGEST
    ]
    return ", ".join([TYPES.get(schema.get("format") or schema.get("type", ""), "anything"), *limits])


def _values(schema: dict[str, Any]) -> Iterator[str]:
    """Yields the values by name that a JSON schema takes."""
    for option in schema.get("anyOf", ()):
        yield from _values(option)
    yield from map(written_value, schema.get("enum", [schema["const"]] if "const" in schema else []))
    yield from {"boolean": ("true", "false"), "null": ("null",)}.get(schema.get("type", ""), ())
    if schema.get("type") == "array" and "items" in schema:
        yield from _values(schema["items"])


def _summary(cls: type[Any]) -> str:
    """Returns the first paragraph of a class's docstring."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


@functools.cache
def _properties(cls: type[Any]) -> dict[str, Any]:
    """Returns the JSON schema of each key of a class."""
    properties: dict[str, Any] = TypeAdapter(cls).json_schema()["properties"]
    return properties


@functools.cache
def _docstrings(cls: type[Any]) -> dict[str, str]:
    """Returns the string under each attribute of a class, by the attribute's name; inherited ones too."""
    texts = dict[str, str]()
    for base in reversed(cls.__mro__):
        try:
            [definition] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):  # built in
            continue
        assert isinstance(definition, ast.ClassDef)
        for attribute, text in pairwise(definition.body):
            if (
                isinstance(attribute, ast.AnnAssign)
                and isinstance(attribute.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                texts[attribute.target.id] = " ".join(text.value.value.split())
    return texts
