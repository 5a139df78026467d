"""The file that wandb writes in a run's folder, read back: a log of LevelDB's format with protocol buffers in it.

wandb has a reader in its own process alone, for `wandb sync`.

- [0] LevelDB log format, https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["history"]

HEAD = 7  # bytes, of the file and of each piece: CRC (4), length (2), kind (1)
BLOCK = 32_768  # bytes
FULL, LAST = 1, 4  # kinds of pieces that end a record; first is 2, middle 3


def history(file: Path, step: str) -> Iterator[tuple[int, dict[str, float]]]:
    """Reads the logged figures: steps and figures by name, without values; wandb's own begin with _.

    Args:
        file: run-ID.wandb.
        step: name of the figure that is the step.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    for text in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(text)
        if record.WhichOneof("record_type") != "history":
            continue
        values = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
        if step in values:
            number = int(float(values.pop(step)))
            yield number, {name: float("nan") for name in values if not name.startswith("_")}


def _records(data: bytes) -> Iterator[bytes]:
    """Yields whole records; the last is cut off where the process was killed."""
    at, record = HEAD, b""
    while at + HEAD <= len(data):
        if (left := BLOCK - at % BLOCK) < HEAD:  # too small for a piece: filled up with zeros
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        at += HEAD
        if not 1 <= kind <= LAST or at + length > len(data):
            return
        record += data[at : at + length]
        at += length
        if kind in (FULL, LAST):
            yield record
            record = b""
