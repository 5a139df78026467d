"""Plain values to a frozen dataclass, by pydantic; its errors become one message with rule, value and fix."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ssl_zoo.errors import UserError, shown, suggest

__all__ = ["keys", "nearest_key", "validate", "written_value"]

T = TypeVar("T")

MOST = 20  # problems that a message lists

# pydantic's name of an error, and the rule that was broken.
RULES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "at least {min_length} character long",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list, for instance [0.2, 1.0]",
    "list_type": "a list",
    "dict_type": "a block of keys",
    "dataclass_type": "a block of keys",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
}


def validate(cls: type[T], values: Mapping[str, Any], prefix: str, siblings: type | None = None) -> T:
    """Builds `cls` from plain values, strictly: nothing is converted and no key is passed over.

    Args:
        cls: a dataclass made with `ssl_zoo.config.schema.section`.
        values: what a YAML file or the command line gave.
        prefix: where `cls` stands, for the messages: "method" for `method.stop_gradient`.
        siblings: another class whose keys a misspelt key may have meant.

    Raises:
        UserError: with one line for each value that is wrong.
    """
    try:
        text = json.dumps(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{prefix or 'the values'} must be numbers, text, true, false, null, lists and blocks of these; received "
            f"{type(error).__name__}: {error}; write them as such"
        ) from error
    try:
        # JSON mode is strict and still takes lists for tuples and objects for dataclasses.
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        others = [] if siblings is None else list(keys(siblings, "" if prefix else "method"))
        known = [*keys(cls, prefix), *others]
        items = _joined([{**item} for item in error.errors()], known, prefix)
        wrong = {item["loc"] for item in items}
        # A value that is wrong for all views (augment.X) is so for each (augment.views.NAME.X): reported once.
        items = [
            item
            for item in items
            if item["loc"][1:2] != ("views",) or (item["loc"][0], *item["loc"][3:]) not in wrong
        ]
        problems = [_explain(item, cls, prefix, known) for item in items[:MOST]]
        more = [f"and {len(items) - MOST} more like these"] if len(items) > MOST else []
        raise UserError("\n".join([*dict.fromkeys(problems), *more])) from None


def _joined(items: list[dict[str, Any]], known: list[str], prefix: str) -> list[dict[str, Any]]:
    """Joins the errors of a key with several types, for each of which pydantic reports one."""
    joined: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in items:
        loc = item["loc"]
        # Then the type's own name stands last, as in alternation_steps.constrained-int.
        parent = ".".join([*([prefix] if prefix else []), *map(str, loc[:-1])])
        by_type = item["type"] in RULES and loc and not isinstance(loc[-1], int) and parent in known
        if by_type and f"{parent}.{loc[-1]}" not in known:
            first = joined.setdefault(loc[:-1], {**item, "loc": loc[:-1], "rules": []})
            first["rules"].append(RULES[item["type"]].format(**item.get("ctx", {})))
        else:
            joined[loc + (item["type"],)] = item  # noqa: RUF005
    return list(joined.values())


def keys(cls: type[Any], prefix: str = "") -> Iterator[str]:
    """Yields all dotted keys of a configuration class, nested ones included."""
    hints = get_type_hints(cls)
    for name in (field.name for field in dataclasses.fields(cls)):
        hint = hints[name]
        path = f"{prefix}.{name}" if prefix else name
        yield path
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from keys(hint, path)


def _explain(item: dict[str, Any], cls: type, prefix: str, known: list[str]) -> str:
    loc = [str(part) for part in item["loc"]]
    key = ".".join(([prefix] if prefix else []) + loc)
    kind, received, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "unexpected_keyword_argument":
        return f"unknown key '{key}'{nearest_key(key, known)}"
    if kind == "missing" and loc and loc[-1].isdigit():
        whole = key.rpartition(".")[0]
        return f"{whole} is too short, received {shown(received)}; set for instance {whole}=[0.2,1.0]"
    if kind == "missing":
        base = ", or build its YAML on another, defaults: [byol, _self_]" if key.startswith("method.") else ""
        return f"'{key}' is missing and has no default; set {key}=VALUE{base}"
    if kind == "value_error":
        message = str(item["msg"]).removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    if "rules" in item:
        rule, fix = " or ".join(item["rules"]), ""
    elif kind == "literal_error":
        choices = [choice.strip(" '") for choice in str(context["expected"]).replace(" or ", ", ").split(",")]
        rule = f"one of {', '.join(choices)}"
        fix = suggest(str(received), choices) if isinstance(received, str) else ""
    else:
        rule = RULES.get(kind, f"valid ({item['msg']})").format(**context)
        fix = ""
    return f"{key} must be {rule}; received {shown(received)}{fix or _example(cls, loc, [prefix] if prefix else [])}"


def nearest_key(key: str, known: list[str]) -> str:
    """Names the key that was meant: the same last word elsewhere, else the nearest path, else all keys of the block."""
    parts = key.split(".")
    if parts[:2] == ["augment", "views"]:
        parts = ["augment", *parts[3:]]  # a view has the keys of `augment`
    path, override = ".".join(parts), parts[-1]
    same = [candidate for candidate in known if candidate.rpartition(".")[2] == override]
    nearest = difflib.get_close_matches(path, same, n=1, cutoff=0) or difflib.get_close_matches(
        path, known, n=1
    )
    if nearest:
        return f"; did you mean '{nearest[0]}'?"
    section = path.rpartition(".")[0]
    there = [candidate for candidate in known if candidate.rpartition(".")[0] == section]
    return f"; there are {', '.join(there or known)}"


def _example(cls: type, loc: list[str], prefix: list[str]) -> str:
    """Returns an example of a right value: the default, where the key has one."""
    for depth, name in enumerate(loc):
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if name not in fields:
            return ""
        if depth == len(loc) - 1:
            default = fields[name].default
            simple = default is None or isinstance(default, (str, int, float, tuple))
            return (
                f"; set for instance {'.'.join([*prefix, *loc])}={written_value(default)}" if simple else ""
            )
        hint = get_type_hints(cls)[name]
        nested = [kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)]
        if not nested:
            return ""
        cls = nested[0]  # type: ignore[assignment]
    return ""


def written_value(value: object) -> str:
    """Returns a value as it is written on the command line."""
    if isinstance(value, (tuple, list)):
        return f"[{','.join(map(written_value, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
