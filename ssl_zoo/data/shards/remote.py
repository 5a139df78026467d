"""Opening a shard wherever it is, uncompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from ssl_zoo.data.shards.patterns import PIPE, Shard, file_system
from ssl_zoo.data.shards.tar import DamagedShard
from ssl_zoo.errors import UserError

__all__ = ["UnreachableShard", "is_compressed", "opened_shard", "unreachable"]

_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
BUFFER = 2**20  # bytes


class UnreachableShard(Exception):
    """A shard cannot be opened, or not read to its end; the message is a short phrase."""


def unreachable(shard: Shard, reason: str) -> UserError:
    """Returns the error of a shard that cannot be opened or not be read to its end."""
    return UserError(
        f"every shard must be readable; '{shard.url}' is not: {reason}; check the address and your credentials, or "
        "leave the shard out of data.train"
    )


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with these bytes is compressed."""
    return any(head.startswith(magic) for magic in _OPENERS)


@contextmanager
def opened_shard(shard: Shard) -> Iterator[IO[bytes]]:
    """Opens a shard as a stream of the tar file's bytes.

    Raises:
        UnreachableShard: what the block or the opening met.
        DamagedShard: it cannot be uncompressed.
    """
    try:
        with _opened(shard) as raw:
            buffered = io.BufferedReader(cast("io.RawIOBase", raw), BUFFER)
            head = buffered.peek(6)
            opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
            yield buffered if opener is None else opener(buffered)
    except (UserError, DamagedShard, UnreachableShard):
        raise
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedShard(f"cut off or damaged: {str(error).lower().rstrip('.')}") from error
    except OSError as error:
        raise UnreachableShard(str(error.strerror or error).lower()) from error
    except Exception as error:  # each file system has errors of its own
        raise UnreachableShard(f"{type(error).__name__}: {error}") from error


@contextmanager
def _opened(shard: Shard) -> Iterator[Any]:
    if shard.url.startswith(PIPE):
        with _piped(shard.url.removeprefix(PIPE)) as stream:
            yield stream
    elif shard.on_disk:
        with open(shard.url, "rb") as file:
            yield file
    else:
        system, path = file_system(shard.url)
        with system.open(path, "rb") as file:
            yield file


@contextmanager
def _piped(command: str) -> Iterator[IO[bytes]]:
    """Runs a command in the shell and yields what it writes; left before its end it is stopped.

    webdataset's gopen is not used, as it gives a command that fails two hours to end, and imports all of webdataset.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        stream = _Watched(process.stdout)
        try:
            yield stream  # type: ignore[misc]
        finally:
            if not stream.at_end:
                process.kill()
            process.stdout.close()
            status = process.wait()
        if stream.at_end and status:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise OSError(
                None, f"the command ended with status {status}" + (f": {lines[-1]}" if lines else "")
            )


class _Watched(io.RawIOBase):
    """A stream that knows whether it was read to its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.at_end = stream, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.at_end = self.at_end or not data
        return len(data)
