"""`config.yaml` of many runs, read as it stands: dotted keys, without the checks that need torch.

libyaml takes 6 ms for one file, and the files of many runs hold mostly the same blocks. So each top-level block is read
on its own, and one that has been read before is not read again: a thousand runs of a sweep take 0.2 s in place of 6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.config.nested import to_dotted

__all__ = ["read_dotted"]

TOP = re.compile(r"^(?=[^\s#\-}\]])", re.MULTILINE)  # before a line that begins a top-level key
LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it
BLOCKS = 2**14  # that are remembered


def read_dotted(file: Path) -> dict[str, Any]:
    """Returns the values of a YAML file by dotted key.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no YAML, or no mapping.
    """
    text = file.read_text(encoding="utf-8")
    first, *blocks = TOP.split(text)
    if first.strip() or "&" in text:  # a document marker or a list; an anchor, which another block may name
        return dict(_read(text))
    values: dict[str, Any] = {}
    for block in blocks:
        values.update(_read(block))
    return values


@lru_cache(BLOCKS)
def _read(text: str) -> Mapping[str, Any]:
    try:
        values = yaml.load(text, LOADER)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(
            f"it is no YAML: {next(iter(str(error).splitlines()), type(error).__name__)}"
        ) from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError("it holds no keys")
    return to_dotted(values)
