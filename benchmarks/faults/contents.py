"""The contents of a folder, such that those of two runs that are equal to the bit are equal.

Left out are times, memory, commits, and what records each start: environment.json, logs. Paths of the folder itself
are written as OUT.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..compare_runs import LEFT_OUT, events, flat

__all__ = ["differences", "leftovers", "read_contents"]

OTHERS = {
    "date",
    "started",
    "pid",
    "commit",
    "commits",
}  # keys of JSON that differ between two equal runs, beside LEFT_OUT
BY_NAME = {
    ".log",
    ".html",
    ".md",
    ".svg",
}  # suffixes of files that hold times: only that they are there is compared
NONE = {"environment.json", "cost.json"}
TENSORBOARD = "tensorboard"


def read_contents(folder: Path, out: Path) -> dict[str, Any]:
    """Returns what the files below a folder hold, by their path.

    Args:
        folder: whose files are read.
        out: the folder whose name is left out of texts.
    """
    contents: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name.startswith(("images/", "small/")):  # a data set, which is only read
            continue
        if file.name == TENSORBOARD and file.is_dir():
            contents[name] = events(file)
        elif file.is_file() and file.parent.name != TENSORBOARD and file.name not in NONE:
            contents[name] = _read(file, out)
    return contents


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Lists the files that differ, or are only in one of the two."""
    missing = object()
    return [
        f"{name}: {'missing' if name not in found else 'not expected' if name not in expected else 'differs'}"
        for name in sorted({*expected, *found})
        if expected.get(name, missing) != found.get(name, missing)
    ]


def leftovers(folder: Path) -> list[str]:
    """Lists what interrupted commands left behind: locks, temporary files, half-written ones."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.name == ".lock" or path.name == "saving.ckpt" or path.name.endswith((".tmp", ".parts"))
    ]


def _read(file: Path, out: Path) -> Any:
    if file.suffix in BY_NAME:
        return "there"
    if file.suffix == ".ckpt":
        from ssl_zoo.run_dir.checkpoints import Damaged, read_checkpoint

        try:
            return dict(flat(read_checkpoint(file)))
        except Damaged as error:
            return f"damaged: {error}"
    if file.suffix == ".parquet":
        return _parquet(file, out)
    if file.suffix == ".json" or file.suffix == ".trial":
        try:
            return dict(_json(json.loads(file.read_text(encoding="utf-8")), str(out)))
        except ValueError:
            return "damaged"
    if file.suffix == ".csv":
        with file.open(newline="") as text:
            rows = list(csv.DictReader(text))
        return [{key: value for key, value in row.items() if key not in LEFT_OUT | OTHERS} for row in rows]
    return file.read_bytes().replace(str(out).encode(), b"OUT")


def _parquet(file: Path, out: Path) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        return f"damaged: {error}"
    about = json.loads((table.schema.metadata or {}).get(b"ssl_zoo", b"{}"))
    return table.to_pydict(), dict(_json(about, str(out)))


def _json(value: Any, out: str, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested lists and mappings with their path."""
    if isinstance(value, (dict, list)):
        yield path, f"{type(value).__name__} of {len(value)}"
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in LEFT_OUT and key not in OTHERS:
                yield from _json(inner, out, f"{path}/{key}")
    else:
        yield path, value.replace(out, "OUT") if isinstance(value, str) else value
