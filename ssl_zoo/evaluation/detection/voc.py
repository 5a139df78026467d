"""Reading the VOC format: Annotations/*.xml, ImageSets/Main/SPLIT.txt, JPEGImages/.

- [0] PASCAL VOC 2007 development kit, http://host.robots.ox.ac.uk/pascal/VOC/voc2007/devkit_doc_07-Jun-2007.pdf
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from ssl_zoo.data.decode import SUFFIXES
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.images import Annotated, Collection

__all__ = ["read_voc"]


class _Record(NamedTuple):
    path: str
    annotation: Path
    size: tuple[int, int]  # width, height
    objects: list[tuple[str, tuple[float, float, float, float], bool]]  # name, box, difficult


def read_voc(folders: Sequence[str], split: str, classes: Sequence[str] | None = None) -> Collection:
    """Reads a split of one or several VOC folders, which together are one collection (VOC07+12).

    A VOC box names its first and last pixel, counted from 1; here (1, 1, W, H) becomes (0, 0, W, H).

    Args:
        folders: each with the three sub-folders.
        split: the name of a list in ImageSets/Main.
        classes: those of the training split, in order; None: those that occur here, in alphabetical order.

    Raises:
        UserError: a folder, the list, an annotation or an image is missing; an annotation is damaged; an object
            is of a class that isn't in `classes`.
    """
    title = f"split '{split}' of {', '.join(map(str, folders))}"
    records = [record for folder in folders for record in _read_folder(Path(folder).expanduser(), split)]
    listed = sorted({name for record in records for name, _, _ in record.objects})
    names = tuple(listed) if classes is None else tuple(classes)
    for record in records:
        unknown = [name for name, _, _ in record.objects if name not in names]
        if unknown:
            raise UserError(
                f"a class must occur in the training images; '{record.annotation}' has '{unknown[0]}', and they have "
                f"{', '.join(names)}; mend the name, or take the image off the list"
            )
    label = {name: number for number, name in enumerate(names, start=1)}
    images = tuple(
        Annotated(
            record.path,
            *record.size,
            np.array([box for _, box, _ in record.objects], np.float32).reshape(-1, 4),
            np.array([label[name] for name, _, _ in record.objects], np.int64),
            np.array([difficult for _, _, difficult in record.objects], bool),
        )
        for record in records
    )
    return Collection(title, names, images)


def _read_folder(folder: Path, split: str) -> list[_Record]:
    parts = ("Annotations", "ImageSets/Main", "JPEGImages")
    missing = [name for name in parts if not (folder / name).is_dir()]
    if missing:
        raise UserError(
            f"a VOC folder holds Annotations/, ImageSets/Main/ and JPEGImages/; '{folder}' "
            f"{'lacks ' + ', '.join(missing) if folder.is_dir() else 'does not exist'}; name the folder of one year, "
            "for instance VOCdevkit/VOC2007"
        )
    files = {os.path.splitext(name)[0]: name for name in os.listdir(folder / "JPEGImages") if _is_image(name)}
    root = os.path.abspath(folder / "JPEGImages")
    records = []
    for name in _read_list(folder, split):
        annotation = folder / "Annotations" / f"{name}.xml"
        if name not in files:
            raise UserError(
                f"every image of a split must be there; '{folder / 'JPEGImages'}' has no '{name}', which split "
                f"'{split}' lists; add the image or take the name off the list"
            )
        if not annotation.is_file():
            raise UserError(
                f"every image of a split must have an annotation; '{annotation}' does not exist; add it (without "
                f"objects if there are none) or take '{name}' off split '{split}'"
            )
        records.append(_read_annotation(annotation, os.path.join(root, files[name])))
    return records


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _read_list(folder: Path, split: str) -> list[str]:
    path = folder / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        there = sorted(file.stem for file in path.parent.glob("*.txt"))
        raise UserError(
            f"a split is a list in ImageSets/Main; '{path}' does not exist; there are {', '.join(there) or 'none'}"
        )
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        raise UserError(f"a split must list images; '{path}' is empty; name another split")
    if any(len(line) > 1 for line in lines):
        raise UserError(
            f"a split must list one image name a line; '{path}' has more words, as the list of one class has; "
            "name the list of all classes, for instance trainval"
        )
    names = [line[0] for line in lines]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"a split lists an image once; '{path}' has '{twice}' twice; remove one")
    return names


def _read_annotation(path: Path, image: str) -> _Record:
    try:
        root = ElementTree.parse(path).getroot()
        size = int(_text(root, "size/width")), int(_text(root, "size/height"))
        objects = []
        for thing in root.findall("object"):
            left, top, right, bottom = (
                float(_text(thing, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            if right < left or bottom < top:
                raise ValueError(f"a box has its corners swapped: {left:g}, {top:g}, {right:g}, {bottom:g}")
            if right < 1 or bottom < 1 or left > size[0] or top > size[1]:
                raise ValueError(f"a box lies outside the image: {left:g}, {top:g}, {right:g}, {bottom:g}")
            difficult = (thing.findtext("difficult") or "0").strip() == "1"
            objects.append((_text(thing, "name"), (left - 1, top - 1, right, bottom), difficult))
    except (ElementTree.ParseError, ValueError) as error:
        raise UserError(
            f"an annotation is VOC's XML, with size/width, size/height and per object name and bndbox; '{path}' is "
            f"not: {error}; mend the file"
        ) from error
    return _Record(image, path, size, objects)


def _text(element: ElementTree.Element, tag: str) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise ValueError(f"<{tag}> is missing")
    return text
