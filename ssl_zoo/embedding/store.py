"""An unfinished embedding on disk: features are appended to one file, and a second holds how many of them count.

    OUT.parts/begun.json      what is embedded, and how; a start with other overrides is refused
    OUT.parts/features.npy    the features, in order
    OUT.parts/position.json   how many images and rows are done, written after the rows have reached the disk

Whatever a kill leaves behind the last position is cut off and done again. Numbers go to the file as they are and
are never mapped into memory, so that what this process holds doesn't grow with their number.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.embedding.encoding import EncodedBatch
from ssl_zoo.errors import UserError
from ssl_zoo.files.json_files import load_json, write_json
from ssl_zoo.files.locks import LOCK, hold
from ssl_zoo.files.writing import is_temporary

__all__ = ["CHUNK", "PART_IMAGES", "PART_SECONDS", "Committed", "Store", "differing"]

PART_IMAGES = 4096  # what is kept at the latest after so many images
PART_SECONDS = 10.0  # or after this time; either way after a whole batch
CHUNK = 4096  # rows that are read at a time
HEADER = 128  # bytes before the numbers in features.npy
# Keys of the record that may differ when an embedding is continued, and those of a finished one alone.
FREE = ("git_commit", "versions", "rows", "left_out")


class Committed(NamedTuple):
    """The part of an embedding that is on disk for good."""

    images: int
    rows: int  # images less those left out
    left_out: dict[int, str]  # number of the image -> why it is unreadable


class Store:
    """The folder of an unfinished embedding, held by one process at a time.

    Args:
        folder: `OUT.parts`; created if it isn't there.
        record: what is embedded, and how, in plain values.
        width: F, numbers of an image.
        dtype: float32 or float16.

    Raises:
        UserError: the folder is of another embedding, is none, or another process is writing there.
    """

    def __init__(self, folder: Path, record: dict[str, Any], width: int, dtype: str) -> None:
        self.folder, self.width, self.dtype = folder, width, np.dtype(dtype).newbyteorder("<")
        self.features = folder / "features.npy"
        self._held = ExitStack()
        self._held.enter_context(hold(folder))
        try:
            self.record = _begun(folder, json.loads(json.dumps(record)))
            self.committed = self._read_committed()
        except BaseException:
            self.close()
            raise
        self._end = self.committed
        self._file: IO[bytes] | None = None
        self._since = time.perf_counter()

    def append(self, batch: EncodedBatch) -> None:
        """Adds a batch; now and then all so far is kept."""
        file = self._open()
        file.write(batch.features.astype(self.dtype, copy=False).tobytes())
        end = self._end
        left_out = {**end.left_out, **batch.left_out} if batch.left_out else end.left_out
        # In one step, whenever Ctrl-C comes; what was written and is not counted is cut off.
        self._end = Committed(end.images + batch.images, end.rows + len(batch.features), left_out)
        due = self._end.images - self.committed.images >= PART_IMAGES
        if due or time.perf_counter() - self._since >= PART_SECONDS:
            self.commit()

    @property
    def left_out(self) -> int:
        """Number of images left out, those not committed yet included."""
        return len(self._end.left_out)

    def commit(self) -> None:
        """Keeps all that was appended."""
        file = self._open()
        file.flush()
        os.fsync(file.fileno())
        write_json(self.folder / "position.json", self._end._asdict())
        self.committed, self._since = self._end, time.perf_counter()

    def complete(self) -> None:
        """Makes `features` a whole .npy file of the rows that are kept."""
        file = self._open()
        file.seek(0)
        file.write(self._header(self.committed.rows))
        file.flush()
        os.fsync(file.fileno())

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Yields the features that are kept, (n, F) with n at most CHUNK."""
        with self.features.open("rb") as file:
            file.seek(HEADER)
            for start in range(0, self.committed.rows, CHUNK):
                rows = min(CHUNK, self.committed.rows - start)
                yield np.frombuffer(file.read(rows * self._row), self.dtype).reshape(rows, self.width)

    def close(self) -> None:
        """Lets go of the folder."""
        self._close_file()
        self._held.close()

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        self._close_file()  # Windows removes no file that is open
        shutil.rmtree(self.folder, ignore_errors=True)
        self._held.close()

    def cut_off(self) -> None:
        """Frees the space of all that is not committed."""
        for file in self.folder.iterdir():
            if file.name == self.features.name:
                os.truncate(file, HEADER + self.committed.rows * self._row)
            elif file.name not in (LOCK, "begun.json", "position.json"):
                file.unlink()

    def _close_file(self) -> None:
        if (file := getattr(self, "_file", None)) is not None:
            with suppress(OSError):  # what could not be written has been reported by then
                file.close()

    @property
    def _row(self) -> int:
        return int(self.width * self.dtype.itemsize)  # bytes

    def _header(self, rows: int) -> bytes:
        """Magic, version 1.0, and the array's description, padded so that its length goes with no number of rows.

        - [0] NumPy's format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
        """
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (rows, self.width)}
        text = repr(about).ljust(HEADER - 11).encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text

    def _read_committed(self) -> Committed:
        file = self.folder / "position.json"
        if not file.is_file():
            return Committed(0, 0, {})
        with _refuse_damage(file):
            saved = load_json(file)
            left_out = {int(number): str(reason) for number, reason in saved["left_out"].items()}
            position = Committed(int(saved["images"]), int(saved["rows"]), left_out)
        there = self.features.stat().st_size if self.features.is_file() else 0
        if there < HEADER + position.rows * self._row:
            raise UserError(
                f"'{self.features}' must hold the {position.rows} rows that were written to it; it has {there} bytes, "
                f"which is less; delete the folder '{self.folder}' to begin anew"
            )
        return position

    def _open(self) -> IO[bytes]:
        """Opens the file and cuts it off behind the last committed row."""
        if self._file is None:
            self._file = self.features.open("r+b" if self.committed.rows else "w+b")
            self._file.write(self._header(self.committed.rows))
            self._file.truncate(HEADER + self.committed.rows * self._row)
            self._file.seek(0, os.SEEK_END)
        return self._file


@contextmanager
def _refuse_damage(file: Path) -> Iterator[None]:
    """Refuses to continue by a file that is not as it was written."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{file}' must be as ssl-zoo embed wrote it; it cannot be read ({type(error).__name__}); delete the "
            f"folder '{file.parent}' to begin anew"
        ) from error


def _begun(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of the embedding that was begun in a folder, or that begins now."""
    file = folder / "begun.json"
    if not file.is_file():
        others = sorted(
            path.name for path in folder.iterdir() if path.name != LOCK and not is_temporary(path)
        )
        if others:
            raise UserError(
                f"'{folder}' must hold what is done of an embedding; it holds '{others[0]}' and no begun.json; move "
                "it elsewhere, or choose another out"
            )
        write_json(file, record)
        return record
    with _refuse_damage(file):
        saved: dict[str, Any] = dict(load_json(file))
    if names := differing(saved, record):
        before, now = dict(_flat(saved)), dict(_flat(record))
        received = ", ".join(f"{name}={now.get(name)}" for name in names)
        begun = ", ".join(f"{name}={before.get(name)}" for name in names)
        raise UserError(
            f"an embedding is continued as it was begun; '{folder}' was begun with {begun}; received {received}; say "
            "the same, choose another out, or delete that folder to begin anew"
        )
    return saved


def differing(saved: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """The names of the values that decide the features and are others in an earlier record, read back from JSON."""
    before, now = dict(_flat(saved)), dict(_flat(json.loads(json.dumps(record))))
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that decide the features, by dotted name."""
    for name, value in record.items():
        if name in FREE:
            continue
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", item) for inner, item in value.items())
        else:
            yield name, value
