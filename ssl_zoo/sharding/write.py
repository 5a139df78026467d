"""Writing one shard, with the table that stands beside it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

from ssl_zoo.data.shards.beside import TABLE
from ssl_zoo.data.shards.table import read_table, scan_shard, write_table
from ssl_zoo.errors import UserError
from ssl_zoo.files.writing import atomic_file, write_file
from ssl_zoo.sharding.plan import ShardPlan, shard_name

__all__ = ["is_written", "write_shard"]


def write_shard(folder: Path, plan: ShardPlan, number: int, written: Callable[[], None]) -> None:
    """Writes a shard, each image's file as it is and its label as KEY.cls, then its table; whole or not at all.

    tarfile writes it, not webdataset's ShardWriter: that puts the time into each member, and leaves half a shard where
    it is stopped.

    Args:
        folder: of the shards.
        plan: the images.
        number: of the shard.
        written: is called after each image, and may raise to stop.

    Raises:
        UserError: a file is gone, or has another size than when the shards were planned.
        OSError: the shard cannot be written.
    """
    path = folder / shard_name(number)
    with atomic_file(path) as fresh:
        # GNU's format has room for any name; its bytes depend on names, sizes and contents alone.
        with tarfile.open(
            fresh, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for position in plan.shard(number).tolist():
                key, suffix = plan.member(position)
                _add(tar, f"{key}.{suffix}", _contents(plan, position))
                if plan.files.labels is not None:
                    _add(tar, f"{key}.cls", str(int(plan.files.labels[position])).encode())
                written()
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
            table = scan_shard(file, "cls")
    assert table.damage is None
    write_file(path.with_name(path.name + TABLE), write_table(table))


def is_written(folder: Path, number: int) -> bool:
    """Whether a shard is there as long as its table says."""
    path = folder / shard_name(number)
    try:
        return read_table(path.with_name(path.name + TABLE).read_bytes()).length == path.stat().st_size
    except (OSError, ValueError):
        return False


def _add(tar: tarfile.TarFile, name: str, contents: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(contents)
    tar.addfile(member, io.BytesIO(contents))


def _contents(plan: ShardPlan, position: int) -> bytes:
    path = os.path.join(plan.files.root, plan.files.names[position])
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except FileNotFoundError as error:
        raise UserError(f"files stay while shards are written; '{path}' is gone; put it back") from error
    if len(contents) != plan.sizes[position]:
        raise UserError(
            f"files stay as they are while shards are written; '{path}' has {len(contents)} bytes and had "
            f"{plan.sizes[position]}; begin anew in another out"
        )
    return contents
