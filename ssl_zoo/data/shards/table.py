"""The images of one shard: where each begins, its name and its label."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.shards.tar import DamagedShard, Member, Sample, samples_of

__all__ = ["ShardTable", "read_table", "scan_shard", "write_table"]

MOST = 2**32 - 1  # bytes of an image


class ShardTable(NamedTuple):
    """n images."""

    names: NDArray[np.uint8]  # of the members, UTF-8, a zero byte after each
    name_sizes: NDArray[np.uint32]  # (n,) bytes of each, with that byte
    offsets: NDArray[np.int64]  # (n,) of an image's first byte in the tar file
    sizes: NDArray[np.uint32]  # (n,) bytes
    codes: NDArray[np.int32]  # (n,) positions in `labels`; -1 without a label
    labels: tuple[str, ...]
    length: int  # bytes of the tar file
    passed_over: tuple[str, ...] = ()  # names of samples without an image
    damage: str | None = None  # why the rest, or some of it, could not be read


def scan_shard(file: IO[bytes], label: str) -> ShardTable:
    """Reads the headers of a tar file, and the labels where they are files.

    Args:
        file: opened for reading.
        label: where labels are, as `data.label` says; `folder` follows from the names and is not looked at here.

    Returns:
        The images up to where the file is damaged, but for those whose label cannot be read.
    """
    length = file.seek(0, os.SEEK_END)
    names, rows, codes, passed_over = [], [], list[int](), []
    labels: dict[str, int] = {}
    damage: str | None = None
    try:
        for image, others in samples_of(file, length):
            if image is None:
                passed_over.append(next(iter(others.values())).name)
                continue
            if image.size > MOST:
                raise DamagedShard(f"'{image.name}' has {image.size} bytes, and an image has at most {MOST}")
            try:
                text = _label(file, Sample(image, others), label)
            except DamagedShard as error:
                damage = damage or str(error)
                continue
            names.append(image.name.encode(errors="surrogateescape") + b"\0")
            rows.append((image.offset, image.size))
            codes.append(-1 if text is None else labels.setdefault(text, len(labels)))
    except DamagedShard as error:
        damage = damage or str(error)
    places = np.array(rows, np.int64).reshape(-1, 2)
    return ShardTable(
        names=np.frombuffer(b"".join(names), np.uint8),
        name_sizes=np.array([len(name) for name in names], np.uint32),
        offsets=places[:, 0].copy(),
        sizes=places[:, 1].astype(np.uint32),
        codes=np.array(codes, np.int32),
        labels=tuple(labels),
        length=length,
        passed_over=tuple(passed_over),
        damage=damage,
    )


def _label(file: IO[bytes], sample: Sample, label: str) -> str | None:
    """Returns the label of a sample as text; None where it has none.

    Raises:
        DamagedShard: it cannot be read as one.
    """
    if label in ("auto", "cls") and "cls" in sample.others:
        member = sample.others["cls"]
        text = _read(file, member).decode(errors="replace").strip()
        if not text:
            raise DamagedShard(f"'{member.name}' is empty, and would be a label")
        return text
    field = "label" if label == "auto" else label.removeprefix("json.") if label.startswith("json.") else None
    if field is None or "json" not in sample.others:
        return None
    member = sample.others["json"]
    try:
        values = json.loads(_read(file, member))
    except ValueError as error:
        raise DamagedShard(f"'{member.name}' is no JSON") from error
    value = values.get(field) if isinstance(values, dict) else None
    if value is None or isinstance(value, (str, int)):
        return None if value is None or value == "" else str(value)
    if label == "auto":
        return None
    raise DamagedShard(f"field '{field}' of '{member.name}' is no number and no text")


def _read(file: IO[bytes], member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)


ARRAYS: Sequence[str] = ("names", "name_sizes", "offsets", "sizes", "codes")


def write_table(table: ShardTable) -> bytes:
    """Returns a table as a .npz file, the same bytes for the same table."""
    about = {
        "labels": table.labels,
        "length": table.length,
        "passed_over": table.passed_over,
        "damage": table.damage,
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with io.BytesIO() as file:
        arrays: dict[str, Any] = {name: getattr(table, name) for name in ARRAYS}
        np.savez(file, about=text, **arrays)
        return file.getvalue()


def read_table(data: bytes) -> ShardTable:
    """Reads what `write_table` has written.

    Raises:
        ValueError: it is none.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            labels, passed_over = tuple(about.pop("labels")), tuple(about.pop("passed_over"))
            return ShardTable(
                **{name: arrays[name] for name in ARRAYS}, labels=labels, passed_over=passed_over, **about
            )
    except Exception as error:  # of zipfile, of NumPy, of what is in it
        raise ValueError(f"no table of a shard: {error}") from error
