"""Which images go into which shard, under which names: a function of the files' names and sizes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data import FileSplit
from ssl_zoo.data.rng import permutation
from ssl_zoo.errors import UserError
from ssl_zoo.sharding.schema import ShardsConfig

__all__ = ["ShardPlan", "plan_shards", "shard_name"]

BLOCK, RECORD = 512, 10240  # bytes, in which members and tar files are counted
SEED = 0  # of the order


@dataclass(frozen=True)
class ShardPlan:
    """Images in their order, cut into shards.

    Attributes:
        files: the images.
        classes: names of the labels, or None.
        order: (N,) positions in `files`.
        ends: (G,) images in a shard and all before it.
        sizes: (N,) bytes of the files, by position in `files`.
        same_key: (N,) whether a file has the name of another but for the suffix.
    """

    files: FileSplit
    classes: tuple[str, ...] | None
    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    sizes: NDArray[np.int64]
    same_key: NDArray[np.bool_]

    def shard(self, number: int) -> NDArray[np.int64]:
        """Returns the positions in `files` of the images of a shard."""
        return self.order[self.ends[number - 1] if number else 0 : self.ends[number]]

    def member(self, position: int) -> tuple[str, str]:
        """Returns an image's key and its suffix: `cat/a.1.jpg` is `cat/a%2E1` and `jpg`.

        A key ends at the first dot of the file's name, for whoever reads shards.
        """
        name = self.files.names[position]
        folder, slash, base = name.rpartition("/")
        stem, _, suffix = base.rpartition(".")
        end = ""
        if self.same_key[position]:
            stem, end = base, "%"  # which no other key ends with
        return f"{folder}{slash}{stem.replace('%', '%25').replace('.', '%2E')}{end}", suffix

    @property
    def record(self) -> dict[str, Any]:
        """What is written, in plain values: equal for equal shards."""
        sha = hashlib.sha256()
        for name in self.files.names:
            sha.update(name.encode(errors="surrogateescape") + b"\0")
        labels = self.files.labels
        for values in (self.sizes, self.order, self.ends, *(() if labels is None else (labels.numpy(),))):
            sha.update(values.tobytes())
        sha.update(repr(self.classes).encode(errors="surrogateescape"))
        return {"images": len(self.order), "shards": len(self.ends), "digest": sha.hexdigest()[:12]}


def shard_name(number: int) -> str:
    """Returns the file name of a shard."""
    return f"shard-{number:06d}.tar"


def plan_shards(files: FileSplit, classes: tuple[str, ...] | None, options: ShardsConfig) -> ShardPlan:
    """Cuts images into shards.

    Raises:
        UserError: a file is gone.
    """
    count = len(files)
    order = permutation(count, SEED, "shards").numpy() if options.shuffle else np.arange(count)
    sizes = np.fromiter((_size(files.root, name) for name in files.names), np.int64, count)
    label = 0 if files.labels is None else 2 * BLOCK
    taken = (BLOCK + -(-sizes // BLOCK) * BLOCK + label)[
        order
    ]  # bytes of a shard; long names are not counted
    most = options.shard_mb * 2**20 - RECORD
    return ShardPlan(
        files, classes, order, _cut(taken, most, options.images_per_shard), sizes, _same_keys(files.names)
    )


def _cut(taken: NDArray[np.int64], most: float, images: int | None) -> NDArray[np.int64]:
    """Returns where shards end: before they exceed `most` bytes or so many images."""
    ends, totals, start = [], taken.cumsum(), 0
    while start < len(taken):
        before = int(totals[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(totals, before + most, "right")))
        start = end if images is None else min(end, start + images)
        ends.append(start)
    return np.array(ends, np.int64)


def _same_keys(names: Sequence[str]) -> NDArray[np.bool_]:
    """Returns which names differ from another by their suffix alone; alike ones stand together up to the first dot."""
    same = np.zeros(len(names), bool)
    begin, keys = "", dict[str, int]()
    for position, name in enumerate(names):
        folder, _, base = name.rpartition("/")
        beginning, key = f"{folder}/{base.partition('.')[0]}", base.rpartition(".")[0]
        if beginning != begin:
            begin, keys = beginning, {}
        if key in keys:
            same[[keys[key], position]] = True
        keys.setdefault(key, position)
    return same


def _size(root: Path, name: str) -> int:
    try:
        return os.stat(os.path.join(root, name)).st_size
    except OSError as error:
        raise UserError(
            f"every file must be readable; '{root / name}' is not: {str(error.strerror).lower()}; put it back"
        ) from error
