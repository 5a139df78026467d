"""The files below a folder, sorted into images and others, folder by folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.data.raster import ARRAY
from ssl_zoo.errors import UserError

__all__ = ["Folder", "State", "is_visible", "state_of", "walk"]

_IGNORED = (
    "thumbs.db",
    "desktop.ini",
    "__macosx",
    "@eadir",
    "lost+found",
)  # and hidden files: operating systems leave them behind
# What lies beside images and is none. Any other suffix may be an image's that nobody would see is missing.
_NO_IMAGES = {
    *(".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".doc", ".docx", ".log"),
    *(".csv", ".tsv", ".xls", ".xlsx", ".parquet", ".db", ".sqlite"),
    *(".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".py", ".ipynb", ".sh"),
    *(".npz", ".pkl", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".mat"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md5", ".sha1", ".sha256"),
    *(".mp3", ".wav", ".mp4", ".avi", ".mov"),
}
_NO_IMAGE_NAMES = ("readme", "license", "licence", "copying", "makefile", "checksums")  # without a suffix
_BLOCK = 10_000  # files after which they are counted

State = tuple[int, int, int]  # of a folder: device, inode, time of change in nanoseconds


class Folder(NamedTuple):
    """The visible files of one folder, each kind sorted by name. `Names.of_bytes` reads the paths."""

    path: str  # relative, with forward slashes and one at the end; empty: the folder itself
    state: State  # read before the files
    folders: tuple[str, ...]  # names of those in it
    photos: bytes  # paths of the files with an image's suffix
    arrays: bytes  # of .npy
    others: bytes  # of what is plainly no image
    faulty: dict[str, str]  # names of what might be an image and cannot be read as such -> why
    lasting: bool  # whether all that is faulty is so by its name


def walk(key: str, root: Path, count: Callable[[int], None]) -> list[Folder]:
    """Lists a folder and those below it; links are followed, but not in circles.

    os.walk would take a pipe for a file, and folders that link to one another for endlessly many.

    Args:
        key: the config key that the folder was given by, for messages.
        root: the folder.
        count: is told of further files.

    Returns:
        The folders as torchvision's ImageFolder sorts them, by class and then by path.

    Raises:
        UserError: a folder cannot be read.
    """
    folders = []
    todo: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while todo:
        path, above = todo.pop()
        try:
            state = state_of(root, path)
            if state[:2] in above:
                continue
            folder = _listed(root, path, state, count)
        except OSError as error:
            raise UserError(
                f"every folder below {key} must be readable; '{error.filename}' is not: {error.strerror}; change its "
                f"permissions or move it elsewhere"
            ) from error
        folders.append(folder)
        todo += [(f"{path}{name}/", above | {state[:2]}) for name in folder.folders]
    return sorted(folders, key=lambda folder: (folder.path.partition("/")[0], folder.path[:-1]))


def state_of(root: Path, path: str) -> State:
    """Returns what changes when a file of a folder is added, removed or renamed.

    Raises:
        OSError: the folder cannot be read.
    """
    status = os.stat(root / path)
    return status.st_dev, status.st_ino, status.st_mtime_ns


def is_visible(name: str) -> bool:
    """Whether a file or folder is neither hidden nor what operating systems leave behind."""
    return not name.startswith(".") and name.lower() not in _IGNORED


def _listed(root: Path, path: str, state: State, count: Callable[[int], None]) -> Folder:
    folders, faulty = [], {}
    files: dict[str, list[str]] = {"photos": [], "arrays": [], "others": []}
    seen, lasting = 0, True
    with os.scandir(root / path) as listing:
        for entry in listing:
            name = entry.name
            if not is_visible(name):
                continue
            if _is_folder(entry):
                folders.append(name)
                continue
            if (seen := seen + 1) % _BLOCK == 0:
                count(_BLOCK)
            lower = name.lower()
            kind = _kind(lower)
            if kind != "others" and (fault := _why_no_file(entry)) is not None:
                faulty[name], lasting = fault, False
            elif kind == "foreign":
                faulty[name] = _foreign(lower)
            else:
                files[kind].append(name)
    count(seen % _BLOCK)
    texts = {kind: _encoded(path, sorted(names)) for kind, names in files.items()}
    return Folder(
        path, state, tuple(sorted(folders)), faulty=dict(sorted(faulty.items())), lasting=lasting, **texts
    )


def _encoded(path: str, names: list[str]) -> bytes:
    """Returns the paths of files, a zero byte after each."""
    text = bytearray()
    for first in range(0, len(names), _BLOCK):
        text += os.fsencode("".join(f"{path}{name}\0" for name in names[first : first + _BLOCK]))
    return bytes(text)


def _kind(lower: str) -> str:
    if lower.endswith(SUFFIXES):
        return "photos"
    if lower.endswith(ARRAY):
        return "arrays"
    return "others" if os.path.splitext(lower)[1] in _NO_IMAGES or lower in _NO_IMAGE_NAMES else "foreign"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _why_no_file(entry: os.DirEntry[str]) -> str | None:
    """Returns why a file cannot be opened, or not without waiting; None where it can."""
    try:
        if entry.is_file():
            return None
        return "a link that leads nowhere" if entry.is_symlink() else "a pipe, socket or device"
    except OSError:
        return "a link that leads in a circle"


def _foreign(lower: str) -> str:
    """Returns why a file's suffix is none of those that are read."""
    if lower.endswith(".avif"):
        return "read by Pillow 11.3 or later, and here it does not"
    return "not an image by its suffix"
