"""What `ssl-zoo shards` writes beside shards: `index.json` about all of them, and a table of each, SHARD.index.

By them shards that are elsewhere are indexed without being fetched. The list of shards is in the format of `wids`:
each with its number of samples.

- [0] https://github.com/webdataset/webdataset, `wids`
"""

from __future__ import annotations

import functools
import json
from typing import Any

from ssl_zoo.data.shards.patterns import PIPE, Shard, file_system
from ssl_zoo.data.shards.table import ShardTable, read_table

__all__ = ["ABOUT", "TABLE", "beside", "class_names"]

ABOUT, TABLE = "index.json", ".index"  # a file's name, and what follows a shard's


def beside(shard: Shard, label: str) -> ShardTable | None:
    """Returns the table beside a shard; None where there is none of it as it is, or of other labels."""
    if shard.url.startswith(PIPE) or label not in ("auto", "cls"):
        return None
    folder = shard.url.rpartition("/")[0]
    entries = about(folder).get("shardlist")
    listed = {entry.get("url"): entry for entry in entries} if isinstance(entries, list) else {}
    if shard.name not in listed or listed[shard.name].get("filesize") != shard.size:
        return None
    try:
        return read_table(_read(shard.url + TABLE))
    except Exception:  # each file system has errors of its own
        return None


def class_names(shard: Shard) -> list[str] | None:
    """Returns the names of the classes 0, 1, …, as they stand beside a shard; None where there are none."""
    if shard.url.startswith(PIPE):
        return None
    names = about(shard.url.rpartition("/")[0]).get("classes")
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


@functools.lru_cache(maxsize=64)
def about(folder: str) -> dict[str, Any]:
    """Returns `index.json` of a folder; empty where there is none that can be read."""
    try:
        values = json.loads(_read(f"{folder}/{ABOUT}" if folder else ABOUT))
    except Exception:  # each file system has errors of its own
        return {}
    return values if isinstance(values, dict) else {}


def _read(url: str) -> bytes:
    system, path = file_system(url)
    with system.open(path, "rb") as file:
        data: bytes = file.read()
        return data
