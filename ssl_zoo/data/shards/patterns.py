"""Which shards a pattern names, and what is known of each before it is read.

    train-{000..099}.tar, 'train-*.tar', FOLDER                   on disk
    s3://bucket/train-{000..099}.tar, https://…, memory://…       by fsspec, of which s3fs and others are extensions
    pipe:ssh host cat /data/train-{000..099}.tar                  what a command writes

- [0] fsspec, https://filesystem-spec.readthedocs.io
- [1] braceexpand, as webdataset expands patterns, https://github.com/trendels/braceexpand
"""

from __future__ import annotations

import glob
import hashlib
import importlib
import os
import re
from collections import Counter
from typing import Any, NamedTuple

from ssl_zoo.errors import UserError

__all__ = ["PIPE", "NoShards", "Shard", "Shards", "file_system", "list_shards"]

PIPE = "pipe:"
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")  # of the shards that a folder holds
NOTHING = "No shard there"
# What file systems call the time of change or another mark of it; a web server may have "Last-Modified" alone.
STAMPS = ("ETag", "etag", "mtime", "LastModified", "Last-Modified", "last_modified", "created")
_BRACES = re.compile(r"\{[^{}]*(\.\.|,)[^{}]*\}")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://|[a-z][a-z0-9]+::", re.IGNORECASE)


class NoShards(UserError):
    """A pattern names nothing that is there."""


class Shard(NamedTuple):
    """A tar file, compressed or not."""

    url: str  # or path, or command
    size: int | None  # bytes; None of a command's output
    stamp: str  # differs once the file is another
    on_disk: bool

    @property
    def name(self) -> str:
        """The file's name; of a command all of it."""
        return self.url if self.url.startswith(PIPE) else self.url.rpartition("/")[2]

    @property
    def place(self) -> str:
        """What is equal of one and the same file by other paths."""
        return os.path.realpath(self.url) if self.on_disk else self.url


class Shards(NamedTuple):
    """The shards that a pattern names, in order."""

    pattern: str
    found: tuple[Shard, ...]
    missing: dict[str, str]  # of those named one by one: url -> why it is not there

    @property
    def digest(self) -> str:
        """Twelve hex digits of the shards' names."""
        return _digest(self.pattern, *(shard.url for shard in self.found))

    @property
    def stamp(self) -> str:
        """Twelve hex digits of their sizes and times of change."""
        return _digest(*(f"{shard.size} {shard.stamp}" for shard in self.found))


def list_shards(key: str, pattern: str) -> Shards:
    """Lists shards, those of braces in their order, others by name.

    Args:
        key: the config key, for messages.
        pattern: braces, `*` and `?`, or a folder.

    Raises:
        NoShards: there are none.
        UserError: one is named twice; a library is not installed; elsewhere cannot be looked at.
    """
    found, missing = list[Shard](), dict[str, str]()
    for url in _expanded(pattern):
        if url.startswith(PIPE):
            found.append(Shard(url, None, "", on_disk=False))
        elif _REMOTE.match(url) and not url.startswith("file://"):
            _look_elsewhere(key, url, found, missing)
        else:
            _look_on_disk(os.path.expanduser(url.removeprefix("file://")), found, missing)
    if not found:
        why = f" ({next(iter(missing.values()))})" if missing else ""
        raise NoShards(
            f"{key} must name shards, tar files, with data.source=webdataset; received '{pattern}', and there are "
            f"none{why}; set for instance {key}='shards-{{000..099}}.tar', {key}='shards-*.tar' or {key}=FOLDER "
            "(ssl-zoo shards data.train=IMAGES out=FOLDER writes them)"
        )
    twice = [place for place, count in Counter(shard.place for shard in found).items() if count > 1]
    if twice:
        raise UserError(
            f"{key} must name each shard once, or its images would come twice in an epoch; received '{pattern}', which "
            f"names '{twice[0]}'{f' and {len(twice) - 1} more' if len(twice) > 1 else ''} again; name it once"
        )
    return Shards(pattern, tuple(found), missing)


def file_system(url: str) -> tuple[Any, str]:
    """Returns fsspec's file system of a URL, and the path on it.

    Raises:
        UserError: the library for it is not installed, or there is no such protocol.
    """
    import fsspec

    protocol = url.partition(":")[0]
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"shards at {protocol}:// are read by fsspec with the library for them; received '{url}' ({error}); "
            "install it, for instance pip install s3fs, gcsfs, adlfs or aiohttp, or name files or pipe:COMMAND"
        ) from error
    return system, path


def _expanded(pattern: str) -> list[str]:
    if not _BRACES.search(pattern):
        return [pattern]
    try:
        expand = importlib.import_module("braceexpand").braceexpand
    except ImportError as error:
        raise UserError(
            f"braces in data.train are expanded by braceexpand, which is not installed; received '{pattern}'; pip "
            "install 'ssl-zoo[webdataset]', or name the shards by * or their folder"
        ) from error
    return list(expand(pattern))


def _look_on_disk(path: str, found: list[Shard], missing: dict[str, str]) -> None:
    if os.path.isdir(path):
        try:
            paths = sorted(entry.path for entry in os.scandir(path) if entry.name.endswith(SUFFIXES))
        except OSError as error:
            missing[path] = error.strerror or "it cannot be read"
            return
    elif glob.has_magic(path) and not os.path.exists(path):
        paths = sorted(glob.glob(path, recursive=True))
    else:
        paths = [path]
    if not paths:  # of one of several braces; what nothing at all is found by is refused
        missing[path] = NOTHING
    for each in paths:
        try:
            status = os.stat(each)
        except (OSError, ValueError) as error:
            missing[each] = getattr(error, "strerror", None) or "it cannot be a file"
            continue
        found.append(Shard(each.replace(os.sep, "/"), status.st_size, str(status.st_mtime_ns), on_disk=True))


def _look_elsewhere(key: str, url: str, found: list[Shard], missing: dict[str, str]) -> None:
    system, path = file_system(url)
    try:
        # To ask a web server whether a file is a folder would fetch it, and signed addresses have question marks.
        if glob.has_magic(path) and ("*" in path or not url.startswith("http")):
            listed = sorted(system.glob(path, detail=True).items())
        elif not path.endswith(SUFFIXES) and not url.startswith("http") and system.isdir(path):
            below = system.ls(path, detail=True)
            listed = sorted((entry["name"], entry) for entry in below if entry["name"].endswith(SUFFIXES))
        else:
            listed = [(path, system.info(path))]
    except FileNotFoundError:
        missing[url] = "No such file"
        return
    except Exception as error:  # each file system has errors of its own
        raise UserError(
            f"{key} must name shards that can be reached; '{url}' cannot be ({type(error).__name__}: {error}); check "
            "the address, the network and your credentials"
        ) from error
    if not listed:
        missing[url] = NOTHING
    for name, about in listed:
        stamp = next((about[field] for field in STAMPS if about.get(field)), "")
        size = about.get("size")
        found.append(Shard(system.unstrip_protocol(name), size, str(stamp), on_disk=False))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="surrogateescape")).hexdigest()[:12]
