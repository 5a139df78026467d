"""The contents of a folder of images: class folders, or images without labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.data.raster import ARRAY
from ssl_zoo.errors import UserError

__all__ = ["Listing", "is_visible", "scan_folder"]

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
    *(".npy", ".npz", ".pkl", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".mat"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md5", ".sha1", ".sha256"),
    *(".mp3", ".wav", ".mp4", ".avi", ".mov"),
}
_NO_IMAGE_NAMES = ("readme", "license", "licence", "copying", "makefile", "checksums")  # without a suffix


class Listing(NamedTuple):
    """The files below a folder, as paths relative to it with forward slashes, sorted as torchvision's ImageFolder does:
    by class, then folder, then name."""

    root: Path
    images: tuple[str, ...]
    faulty: dict[str, str]  # files that might be images and cannot be read as such -> why
    passed_over: tuple[str, ...]  # files that are plainly no images, such as labels.csv
    classes: tuple[str, ...] | None  # names of the sub-folders, sorted; None: there are none


def scan_folder(key: str, folder: str) -> Listing:
    """Lists the images below a folder; hidden files and folders are ignored.

    Arrays (.npy) are images where there are no others: beside photos they are something about them.

    Args:
        key: the config key that the folder was given by, for messages.
        folder: the folder; `~` is expanded.

    Raises:
        UserError: it is not a folder, cannot be read, or holds no images, or images beside class folders.
    """
    root = Path(os.path.expanduser(folder))
    if not os.path.isdir(root):  # also for what cannot be a name, which pathlib raises for
        state = "is no folder" if os.path.exists(root) else "does not exist"
        raise UserError(
            f"{key} must be a folder of images; received '{folder}', which {state}; set {key}=FOLDER"
        )
    files = dict(sorted(_walk(key, root), key=lambda file: _torchvision_order(file[0])))  # name -> fault
    suffixes = SUFFIXES if any(name.lower().endswith(SUFFIXES) for name in files) else (*SUFFIXES, ARRAY)
    passed_over = tuple(name for name in files if _is_no_image(name, suffixes))
    faults = {
        name: fault or _foreign(name, suffixes)
        for name, fault in files.items()
        if not _is_no_image(name, suffixes)
    }
    images = tuple(name for name, fault in faults.items() if fault is None)
    faulty = {name: fault for name, fault in faults.items() if fault is not None}
    if not images:
        others = [*faulty, *passed_over]
        contents = f"{len(others)} other files, such as '{others[0]}'" if others else "no files"
        if faulty:
            contents += f" ({next(iter(faulty.values()))})"
        raise UserError(
            f"{key} must hold images ({' '.join(suffixes)}); received '{folder}' with {contents}; set {key}=FOLDER"
        )
    classes = tuple(
        sorted(entry.name for entry in root.iterdir() if is_visible(entry.name) and entry.is_dir())
    )
    if not classes:
        return Listing(root, images, faulty, passed_over, None)
    loose = [name for name in images if "/" not in name]
    if loose:
        raise UserError(
            f"{key} must hold either class folders or images without labels, not both; '{folder}' holds "
            f"{len(loose)} images such as '{loose[0]}' beside the folder '{classes[0]}'; move the images into "
            f"class folders, or the folders elsewhere"
        )
    return Listing(root, images, faulty, passed_over, classes)


def _walk(key: str, root: Path) -> Iterator[tuple[str, str | None]]:
    """Yields the visible files below a folder, and why one cannot be read; links are followed, but not in circles.

    os.walk would take a pipe for a file, and folders that link to one another for endlessly many.
    """

    def below(prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, str | None]]:
        try:
            here = os.stat(root / prefix)
            with os.scandir(root / prefix) as listing:
                entries = [entry for entry in listing if is_visible(entry.name)]
        except OSError as error:
            raise UserError(
                f"every folder below {key} must be readable; '{error.filename}' is not: {error.strerror}; change its "
                f"permissions or move it elsewhere"
            ) from error
        if (identity := (here.st_dev, here.st_ino)) in above:
            return
        for entry in entries:
            if _is_folder(entry):
                yield from below(f"{prefix}{entry.name}/", above | {identity})
            else:
                yield f"{prefix}{entry.name}", _why_no_file(entry)

    yield from below("", frozenset())


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


def _is_no_image(name: str, suffixes: tuple[str, ...]) -> bool:
    file = name.rpartition("/")[2].lower()
    return not file.endswith(suffixes) and (
        os.path.splitext(file)[1] in _NO_IMAGES or file in _NO_IMAGE_NAMES
    )


def _foreign(name: str, suffixes: tuple[str, ...]) -> str | None:
    """Returns why a file's suffix is none of those that are read; None where it is."""
    if name.lower().endswith(suffixes):
        return None
    if name.lower().endswith(".avif"):
        return "read by Pillow 11.3 or later, and here it does not"
    return "not an image by its suffix"


def _torchvision_order(name: str) -> tuple[str, str, str]:
    folder, _, file = name.rpartition("/")
    return folder.partition("/")[0], folder, file


def is_visible(name: str) -> bool:
    """Whether a file or folder is neither hidden nor what operating systems leave behind."""
    return not name.startswith(".") and name.lower() not in _IGNORED
