"""What a folder of images holds: class folders, or images without labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.errors import UserError

__all__ = ["Listing", "scan_folder"]

_IGNORED = ("thumbs.db", "desktop.ini")  # and hidden files: operating systems leave them behind


class Listing(NamedTuple):
    """The files below a folder, as paths relative to it with forward slashes."""

    root: Path
    images: tuple[str, ...]  # sorted by class, then folder, then name, as torchvision's ImageFolder has them
    others: tuple[str, ...]  # files that are not images by their suffix
    classes: tuple[str, ...] | None  # names of the sub-folders, sorted; None: there are none


def scan_folder(key: str, folder: str) -> Listing:
    """Lists the images below a folder; hidden files and folders are ignored.

    Args:
        key: the config key that the folder was given by, for messages.
        folder: the folder; `~` is expanded.

    Raises:
        UserError: it is not a folder, cannot be read, or holds no images, or images beside class folders.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        state = "is a file" if root.exists() else "does not exist"
        raise UserError(
            f"{key} must be a folder of images; received '{folder}', which {state}; set {key}=FOLDER"
        )
    files = sorted(_walk(key, root), key=_torchvision_order)
    images = tuple(name for name in files if name.lower().endswith(SUFFIXES))
    others = tuple(name for name in files if not name.lower().endswith(SUFFIXES))
    if not images:
        found = f"{len(others)} other files, such as '{others[0]}'" if others else "no files"
        raise UserError(
            f"{key} must hold images ({' '.join(SUFFIXES)}); received '{folder}' with {found}; set {key}=FOLDER"
        )
    classes = tuple(sorted(entry.name for entry in root.iterdir() if _visible(entry.name) and entry.is_dir()))
    if not classes:
        return Listing(root, images, others, None)
    loose = [name for name in images if "/" not in name]
    if loose:
        raise UserError(
            f"{key} must hold either class folders or images without labels, not both; '{folder}' holds "
            f"{len(loose)} images such as '{loose[0]}' beside the folder '{classes[0]}'; move the images into "
            f"class folders, or the folders elsewhere"
        )
    return Listing(root, images, others, classes)


def _walk(key: str, root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise UserError(
            f"every folder below {key} must be readable; '{error.filename}' is not: {error.strerror}; change its "
            f"permissions or move it elsewhere"
        ) from error

    for here, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if _visible(name) and not _leads_up(os.path.join(here, name))]
        below = Path(here).relative_to(root)
        yield from ((below / name).as_posix() for name in files if _visible(name))


def _leads_up(path: str) -> bool:
    """Whether a folder is a link to one that it is in, which would be walked without end."""
    if not os.path.islink(path):
        return False
    above = os.path.join(os.path.realpath(os.path.dirname(path)), "")
    return above.startswith(os.path.join(os.path.realpath(path), ""))


def _torchvision_order(name: str) -> tuple[str, str, str]:
    folder, _, file = name.rpartition("/")
    return folder.partition("/")[0], folder, file


def _visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED
