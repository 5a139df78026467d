"""`ssl-zoo __complete WORD...`: what the last word of a command line can become, a line each.

The scripts of `ssl-zoo completion SHELL` call it at each press of Tab. A line is the whole word, then a tab and a
description. A word that ends in `.`, `=`, `/` or `,` goes on, so that no space follows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.cli.completion_table import read_table
from ssl_zoo.cli.usage import USAGE, summary_of

__all__ = ["SHELLS", "complete"]

Candidate = tuple[str, str]  # the word, and a description

SHELLS = ("bash", "zsh", "fish")
LISTS = (
    "methods", "data", "recipes", "experiments", "protocols", "suites", "sources", "formats", "metrics", "backbones",
)  # fmt: skip
GROUPS = {
    "method": "configuration of a method, a point of the grid",
    "data": "images to train on",
    "recipe": "settings for a pair of data and method",
    "experiment": "complete setting of a published run",
}
CHOOSING = ("train", "config", "doctor", "check", "bench")  # verbs that take all of GROUPS
IMAGES = ("eval", "report", "embed", "shards", "import")  # verbs that take data= of them
PATHS = (
    "eval",
    "report",
    "runs",
    "embed",
    "export",
    "import",
)  # verbs that take a folder or a file without a key
FLAGS = {
    "train": ("--multirun",),
    "config": ("--describe",),
    "doctor": ("--speed",),
}
JSON = ("bench", "check", "config", "doctor", "eval", "list", "runs", "train")


def complete(words: Sequence[str]) -> list[Candidate]:
    """Returns what the last word can become.

    Args:
        words: those after `ssl-zoo`, up to the cursor; the last may be empty.
    """
    *before, word = words or [""]
    if not before:
        verbs = [(verb, summary_of(verb)) for verb in USAGE]
        return [(verb, meaning) for verb, meaning in verbs if verb.startswith(word)]
    return [*dict(_arguments(before[0], before[1:], word)).items()]


def _arguments(verb: str, before: Sequence[str], word: str) -> Iterator[Candidate]:
    listed = {"help": tuple(USAGE), "completion": SHELLS, "list": LISTS}.get(verb)
    if word.startswith("-"):
        flags = ("--help", *FLAGS.get(verb, ()), *(("--json",) if verb in JSON else ()))
        yield from ((flag, "") for flag in flags if flag.startswith(word) and flag not in before)
    elif listed is not None:
        positional = [argument for argument in before if not argument.startswith("-")]
        if not positional:
            yield from ((name, "") for name in listed if name.startswith(word))
        elif verb == "list" and len(positional) == 1:
            names = _names(read_table(), positional[0].removesuffix("s"))
            yield from ((name, "") for name in names if name.startswith(word))
    else:
        table = read_table()
        keys = _keys(table, verb)
        key, equals, value = word.partition("=")
        if equals:
            yield from _values(table, keys, key, value)
            return
        if verb == "config" and before[-1:] == ["--describe"]:
            yield from ((name.removesuffix("="), meaning) for name, meaning in _next(keys, word))
            return
        yield from _next(keys, word)
        if verb in PATHS or verb not in table["keys"]:
            yield from _paths(word)


def _keys(table: dict[str, Any], verb: str) -> dict[str, tuple[bool, Sequence[str], str]]:
    """Returns whether each key of a verb takes a path, its values by name, and its meaning."""
    keys = {
        name: (is_path, values, meaning) for name, is_path, values, meaning in table["keys"].get(verb, ())
    }
    groups = GROUPS if verb in CHOOSING else ("data",) if verb in IMAGES else ()
    chosen: dict[str, tuple[bool, Sequence[str], str]] = {name: (False, (), GROUPS[name]) for name in groups}
    if verb == "eval":
        chosen["protocol"] = (False, (), "how the encoder is measured")
    return {**chosen, **keys}


def _next(keys: dict[str, Any], word: str) -> Iterator[Candidate]:
    """Yields keys and blocks of keys that begin with a word, down to the next dot."""
    parts = word.split(".")
    for name, (_, _, meaning) in keys.items():
        own = name.split(".")
        # A view has a name of the user's: augment.views.NAME.size.
        for i, part in enumerate(own[: len(parts) - 1]):
            own[i] = parts[i] if part == "NAME" else part
        if own[: len(parts) - 1] != parts[:-1] or len(own) < len(parts) or own[len(parts) - 1] == "NAME":
            continue
        if own[len(parts) - 1].startswith(parts[-1]):
            is_block = len(own) > len(parts)
            yield ".".join(own[: len(parts)]) + ("." if is_block else "="), "" if is_block else meaning


def _values(table: dict[str, Any], keys: dict[str, Any], key: str, value: str) -> Iterator[Candidate]:
    """Yields values of a key; after a comma those of a further one."""
    entry = next((keys[name] for name in keys if re.fullmatch(_pattern(name), key)), None)
    if entry is None:
        return
    is_path, values, _ = entry
    head, comma, last = value.rpartition(",")
    first = f"{key}={head}{comma}"
    names = [*_names(table, key), *values]
    opening = last[: len(last) - len(last.lstrip("["))]
    last = last.removeprefix(opening)
    yield from ((f"{first}{opening}{name}", "") for name in names if name.startswith(last))
    if is_path:
        yield from ((f"{first}{opening}{path}", note) for path, note in _paths(last))


def _pattern(name: str) -> str:
    return re.escape(name).replace("NAME", r"\w+")


def _names(table: dict[str, Any], key: str) -> Iterable[str]:
    """Returns the names that a key takes; of the user's own YAML files as well."""
    own = [folder for folder in os.environ.get("SSL_ZOO_CONFIGS", "").split(os.pathsep) if folder]
    folders = [Path(folder).expanduser() for folder in (*table["configs"], *own)]
    if key in ("suite", "suites"):
        return _stems([Path(table["suites"]), *(folder / "suite" for folder in folders)])
    if key in ("backbone.name", "backbone"):
        return list(table["backbones"])
    if key == "format":
        return list(table["formats"])
    group = "protocol" if key == "evaluate" else key
    if group not in (*GROUPS, "protocol"):
        return []
    names = _stems([folder / group for folder in folders])
    return [*names, *table["methods"]] if group == "method" else names


def _stems(folders: Iterable[Path]) -> list[str]:
    files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    return [*dict.fromkeys(file.relative_to(folder).with_suffix("").as_posix() for folder, file in files)]


def _paths(word: str) -> Iterator[Candidate]:
    """Yields folders, with a slash, and files that begin with a word; run directories and suites are called so."""
    folder, slash, start = word.rpartition("/")
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder + slash or ".")), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start.startswith(".")):
            continue
        path = f"{folder}{slash}{entry.name}"
        if not entry.is_dir():
            yield path, ""
            continue
        kinds = (("suite.json", "a suite"), ("config.yaml", "a run"))
        kind = next((kind for file, kind in kinds if os.path.isfile(os.path.join(entry.path, file))), "")
        yield (path if kind else f"{path}/"), kind
