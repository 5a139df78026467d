"""The order of a folder's files and what they are sorted into, against a walk that is written out here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.data.scan import scan_folder

NAMES = [
    "a.jpg",
    "B.JPG",
    "a-1.png",
    "a.b.png",
    "é.png",
    "Ω.webp",
    "z\nz.gif",
    "10.bmp",
    "9.bmp",
    "\U0001f431.png",
    "\uffee.png",
]
OTHERS = ["notes.txt", "README", "boxes.json", "list.npy"]
FOREIGN = ["photo.heic", "raw.cr2", "nothing"]
FOLDERS = [
    "cat",
    "cat-b",
    "cat b",
    "Cat",
    "cat/deep",
    "cat/deep/er",
    "cat/deep-1",
    "éa",
    "\U0001f431",
    "\uffee",
]
if sys.platform == "linux":  # names of files are Unicode elsewhere, and there no two differ by case alone
    NAMES += [os.fsdecode(b"caf\xe9.jpg"), os.fsdecode(b"\xff.jpg")]
    FOLDERS += [os.fsdecode(b"\xe9t\xe9")]
else:
    FOLDERS.remove("Cat")
    NAMES = [name for name in NAMES if "\n" not in name]


def _order(name: str) -> tuple[str, str, str]:
    folder, _, file = name.rpartition("/")
    return folder.partition("/")[0], folder, file


def _all_files(root: Path) -> list[str]:
    below = [
        Path(folder, file).relative_to(root).as_posix()
        for folder, _, files in os.walk(root)
        for file in files
    ]
    return sorted(below, key=_order)


@pytest.mark.parametrize("flat", [False, True])
def test_names_are_sorted_by_class_folder_and_name(flat: bool, tmp_path: Path) -> None:
    folders = [""] if flat else FOLDERS
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in (*NAMES, *OTHERS, *FOREIGN):
            (tmp_path / folder / name).touch()
    (tmp_path / "README").touch()
    files, listing = _all_files(tmp_path), scan_folder("data.train", str(tmp_path))
    assert listing.images == tuple(name for name in files if name.lower().endswith(SUFFIXES))
    assert listing.passed_over == tuple(name for name in files if name.rpartition("/")[2] in OTHERS)
    assert list(listing.faulty) == [name for name in files if name.rpartition("/")[2] in FOREIGN]
    assert listing.lasting
    if flat:
        assert listing.classes is None
        return
    classes = sorted({name.partition("/")[0] for name in FOLDERS})
    assert listing.classes == tuple(classes)
    of_class = [name.partition("/")[0] for name in listing.images]
    assert listing.sizes == tuple(of_class.count(name) for name in classes)


def test_arrays_are_images_where_there_are_no_others(tmp_path: Path) -> None:
    for name in ("b.npy", "a.npy", "labels.csv", "x.heic"):
        (tmp_path / name).touch()
    listing = scan_folder("data.train", str(tmp_path))
    assert listing.images == ("a.npy", "b.npy")
    assert listing.passed_over == ("labels.csv",)
    (tmp_path / "b.png").touch()
    listing = scan_folder("data.train", str(tmp_path))
    assert listing.images == ("b.png",)
    assert listing.passed_over == ("a.npy", "b.npy", "labels.csv")
    assert list(listing.faulty) == ["x.heic"]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for name in ("gone.npy", "gone.txt", "gone.png", "gone.raw"):
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    listing = scan_folder("data.train", str(tmp_path))
    assert listing.passed_over == ("gone.npy", "gone.txt"), "what is no image may be anything"
    assert listing.faulty == dict.fromkeys(("gone.png", "gone.raw"), "a link that leads nowhere")
    assert not listing.lasting
    (tmp_path / "a.png").unlink()
    (tmp_path / "gone.png").unlink()
    (tmp_path / "b.npy").touch()
    assert "gone.npy" in scan_folder("data.train", str(tmp_path)).faulty
