"""The contents of a folder of images: class folders, or images without labels."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.data.names import Names
from ssl_zoo.data.raster import ARRAY
from ssl_zoo.data.walk import Folder, State, walk
from ssl_zoo.errors import UserError
from ssl_zoo.terminal.counting import counting

__all__ = ["Listing", "folder_of", "scan_folder"]


@dataclass(frozen=True)
class Listing:
    """The files below a folder, as paths relative to it with forward slashes, sorted as torchvision's ImageFolder does:
    by class, then folder, then name."""

    root: Path
    images: Names
    faulty: dict[str, str]  # files that might be images and cannot be read as such -> why
    passed_over: Names  # files that are plainly no images, such as labels.csv
    classes: tuple[str, ...] | None  # names of the sub-folders, sorted; None: there are none
    sizes: tuple[int, ...]  # images of each class
    folders: tuple[str, ...]  # all of them, with a slash at the end; the first is the folder itself
    states: tuple[State, ...]  # of each
    lasting: bool  # whether what is faulty stays so as long as no folder changes
    began_ns: int  # when the scan began
    # Checks that were made of all images: which one -> positions of the images that failed it.
    checks: dict[str, tuple[int, ...]] = field(default_factory=dict)


def folder_of(key: str, folder: str) -> Path:
    """Returns the folder that was given by a key; `~` is expanded.

    Raises:
        UserError: it is none.
    """
    root = Path(os.path.expanduser(folder))
    if not os.path.isdir(root):  # also for what cannot be a name, which pathlib raises for
        state = "is no folder" if os.path.exists(root) else "does not exist"
        raise UserError(
            f"{key} must be a folder of images; received '{folder}', which {state}; set {key}=FOLDER"
        )
    return root


def scan_folder(key: str, folder: str) -> Listing:
    """Lists the images below a folder; hidden files and folders are ignored.

    Arrays (.npy) are images where there are no others: beside photos they are something about them.

    Args:
        key: the config key that the folder was given by, for messages.
        folder: the folder; `~` is expanded.

    Raises:
        UserError: it is not a folder, cannot be read, or holds no images, or images beside class folders.
    """
    root, began = folder_of(key, folder), time.time_ns()
    with counting(f"scanned {{:,}} files of {key}") as count:
        found = walk(key, root, count)
    listing = _listing(root, found, began)
    if not len(listing.images):
        raise _no_images(key, folder, listing)
    if listing.classes is not None and "/" not in listing.images[0]:
        loose = Names.of_bytes(found[0].photos or found[0].arrays)
        raise UserError(
            f"{key} must hold either class folders or images without labels, not both; '{folder}' holds "
            f"{len(loose)} images such as '{loose[0]}' beside the folder '{listing.classes[0]}'; move the images into "
            f"class folders, or the folders elsewhere"
        )
    return listing


def _listing(root: Path, found: list[Folder], began: int) -> Listing:
    photos = any(folder.photos or any(map(_is_photo, folder.faulty)) for folder in found)
    images, passed_over = bytearray(), bytearray()
    faulty: dict[str, str] = {}
    counts: dict[str, int] = {}  # by the first folder of the path
    for folder in found:
        text = folder.photos if photos else folder.arrays
        images += text
        name = folder.path.partition("/")[0]
        counts[name] = counts.get(name, 0) + text.count(b"\0")
        others, faults = _others(folder, photos)
        passed_over += others
        faulty |= faults
    classes = found[0].folders or None
    return Listing(
        root,
        Names.of_bytes(images),
        faulty,
        Names.of_bytes(passed_over),
        classes,
        tuple(counts.get(name, 0) for name in classes or ()),
        tuple(folder.path for folder in found),
        tuple(folder.state for folder in found),
        all(folder.lasting for folder in found),
        began,
    )


def _others(folder: Folder, photos: bool) -> tuple[bytes, dict[str, str]]:
    """Returns the paths of a folder's files that are passed over, and those that are faulty."""
    beside = [name for name in folder.faulty if photos and name.lower().endswith(ARRAY)]
    faulty = {folder.path + name: why for name, why in folder.faulty.items() if name not in beside}
    if not beside and not (photos and folder.arrays):
        return folder.others, faulty
    paths = [*Names.of_bytes(folder.others), *Names.of_bytes(folder.arrays)]
    paths = sorted([*paths, *(folder.path + name for name in beside)])
    return Names.of(paths).text.tobytes(), faulty


def _no_images(key: str, folder: str, listing: Listing) -> UserError:
    suffixes = SUFFIXES if any(map(_is_photo, listing.faulty)) else (*SUFFIXES, ARRAY)
    others = [*listing.faulty, *listing.passed_over[:1]]
    number = len(listing.faulty) + len(listing.passed_over)
    contents = f"{number} other files, such as '{others[0]}'" if others else "no files"
    if listing.faulty:
        contents += f" ({next(iter(listing.faulty.values()))})"
    return UserError(
        f"{key} must hold images ({' '.join(suffixes)}); received '{folder}' with {contents}; set {key}=FOLDER"
    )


def _is_photo(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)
