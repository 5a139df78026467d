"""Scans of large folders, kept from one start to the next.

A scan is kept in one file per folder: the names, which images failed a check, and a digest of the times of change of
all folders and of some files. It is used again while that digest is the same. A file that is added, removed or renamed
changes the time of its folder. One that is overwritten in place does not: the check sees when that happened to many,
and what happened to a few shows when they are read, as any damage after the start. Images that failed a check are
checked again each time. A file of another version, damaged or half written is as none; one that cannot be written is
done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.data.names import Names
from ssl_zoo.data.scan import Listing, folder_of, scan_folder
from ssl_zoo.data.walk import State, state_of
from ssl_zoo.files.folders import make_folder, why_not_writable
from ssl_zoo.files.locks import hold
from ssl_zoo.files.writing import atomic_file
from ssl_zoo.terminal.counting import note

__all__ = ["checking_once", "digest_of", "keep_scan", "scan"]

VERSION = 1
LEAST = 20_000  # files: fewer are scanned in a moment
# Seconds: a folder that changed later than that may change again without a later time, as FAT counts by two.
SETTLED = 2.0
LOOKED_AT = 1024  # files whose sizes and times are compared


def scan(key: str, folder: str, store: Path) -> Listing:
    """Returns the contents of a folder, as they were kept in `store` or as `scan_folder` finds them.

    Raises:
        UserError: as `scan_folder`.
    """
    root = folder_of(key, folder)
    kept = _read(root, _file(root, store))
    return scan_folder(key, folder) if kept is None else kept


@contextmanager
def checking_once(listing: Listing, store: Path) -> Iterator[Listing]:
    """Keeps other processes from checking the same files meanwhile, where they can read the result.

    Yields:
        The scan, with the checks that another process has kept while this one waited for it.
    """
    file = _file(listing.root, store)
    if not _lasts(listing) or why_not_writable(file.parent) is not None:
        yield listing
        return
    with hold(file.parent, wait=True):
        kept = _read(listing.root, file)
        yield listing if kept is None or kept.states != listing.states else kept


def keep_scan(listing: Listing, store: Path) -> None:
    """Writes a scan with its checks into `store`, unless the folder is small, or still being changed."""
    if not _lasts(listing):
        return
    texts = [
        names.text.tobytes() for names in (listing.images, listing.passed_over, Names.of(listing.folders))
    ]
    about = {
        **_meaning(listing.root),
        "bytes": [len(text) for text in texts],
        "content": _digest(*texts),
        "states": _digest_of_states(listing.states),
        "files": _digest_of_files(listing.root, listing.images),
        "faulty": list(listing.faulty.items()),
        "classes": listing.classes,
        "sizes": listing.sizes,
        "checks": listing.checks,
        "began_ns": listing.began_ns,
    }
    path = _file(listing.root, store)
    with contextlib.suppress(OSError):
        make_folder(path.parent)
        with atomic_file(path) as fresh, fresh.open("wb") as file:
            file.write(json.dumps(about).encode() + b"\n")
            file.writelines(texts)


def digest_of(listing: Listing) -> str:
    """Returns a digest of the names, the folders' times of change, and the sizes and times of some images."""
    return _digest(
        listing.images.text.tobytes(),
        _digest_of_states(listing.states).encode(),
        _digest_of_files(listing.root, listing.images).encode(),
    )


def _lasts(listing: Listing) -> bool:
    """Whether a scan is worth keeping, and nothing can change without being seen."""
    newest = max(changed for _, _, changed in listing.states)
    many = len(listing.images) + len(listing.passed_over) >= LEAST
    return many and listing.lasting and newest <= listing.began_ns - SETTLED * 1e9


def _read(root: Path, file: Path) -> Listing | None:
    """Returns the scan in a file, if it is whole and of the folder as it is."""
    try:
        with file.open("rb") as opened:
            about: dict[str, Any] = json.loads(opened.readline())
            if any(about[key] != value for key, value in _meaning(root).items()):
                return None
            texts = [opened.read(size) for size in about["bytes"]]
        if _digest(*texts) != about["content"]:
            return None
        images, passed_over, folders = map(Names.of_bytes, texts)
        states = tuple(state_of(root, path) for path in folders)
        if _digest_of_states(states) != about["states"] or _digest_of_files(root, images) != about["files"]:
            return None
        classes = about["classes"]
        listing = Listing(
            root,
            images,
            dict(about["faulty"]),
            passed_over,
            None if classes is None else tuple(classes),
            tuple(about["sizes"]),
            tuple(folders),
            states,
            True,
            about["began_ns"],
            {check: tuple(positions) for check, positions in about["checks"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not as it was written
        return None
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(listing.began_ns / 1e9))
    note(f"'{root}' has not changed since it was scanned on {when}, by '{file}': {len(images):,} images")
    return listing


def _file(root: Path, store: Path) -> Path:
    """Returns the file of a folder's scan, in a folder of its own, which one process at a time writes to."""
    return store / hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()[:16] / "scan"


def _meaning(root: Path) -> dict[str, Any]:
    """Returns all that decides what a scan finds, beside the files."""
    return {
        "version": VERSION,
        "root": os.path.abspath(root),
        "encoding": sys.getfilesystemencoding(),
        "suffixes": list(SUFFIXES),
    }


def _digest(*texts: bytes) -> str:
    sha = hashlib.sha256()
    for text in texts:
        sha.update(text)
    return sha.hexdigest()


def _digest_of_states(states: tuple[State, ...]) -> str:
    """Returns a digest of folders' inodes and times; not of devices, which are numbered anew when a machine starts."""
    return _digest(*(f"{inode} {changed}\n".encode() for _, inode, changed in states))


def _digest_of_files(root: Path, images: Names) -> str:
    """Returns a digest of the sizes and times of some images, evenly spaced."""

    def described() -> Iterator[bytes]:
        for name in images[:: max(1, math.ceil(len(images) / LOOKED_AT))]:
            try:
                status = os.stat(os.path.join(root, name))
                about = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                about = "gone"
            yield f"{name} {about}\n".encode(errors="surrogateescape")

    return _digest(*described())
