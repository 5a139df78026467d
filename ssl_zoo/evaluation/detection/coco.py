"""Reading the COCO format: a JSON file of images, annotations and categories, and a folder of images.

- [0] COCO, 2014, https://cocodataset.org/#format-data
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.images import Annotated, Collection
from ssl_zoo.files.json_files import load_json

__all__ = ["read_coco"]


def read_coco(
    folder: str, annotations: str, classes: Sequence[str] | None = None, *, masks: bool = False
) -> Collection:
    """Reads a COCO annotation file.

    Args:
        folder: of the images, which the file names relative to it.
        annotations: path of the JSON file.
        classes: those of the training file, in order; None: this file's, by their ids.
        masks: whether outlines are needed too.

    Raises:
        UserError: the file or an image is missing; the file is damaged, names an image or a category that it
            lacks, or has no outlines where they are needed; its categories aren't those of `classes`.
    """
    path, root = Path(annotations).expanduser(), os.path.abspath(os.path.expanduser(folder))
    if not os.path.isdir(root):
        raise UserError(
            f"COCO's images lie in a folder; '{folder}' is none; name it with detection.train or .test"
        )
    if not path.is_file():
        raise UserError(
            f"format=coco takes an annotation file as split; '{annotations}' does not exist; name a JSON file, for "
            "instance detection.train_split=annotations/instances_train2017.json"
        )
    try:
        contents = load_json(path)
        return _collect(contents, path, root, classes, masks)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"an annotation file is COCO's JSON, with images, annotations and categories; '{path}' is not: {what}; "
            "mend the file"
        ) from error


def _collect(
    contents: dict[str, Any], path: Path, root: str, classes: Sequence[str] | None, masks: bool
) -> Collection:
    category = {c["id"]: str(c["name"]) for c in sorted(contents["categories"], key=lambda c: int(c["id"]))}
    if len(set(category.values())) < len(contents["categories"]):
        raise ValueError("two categories have one name or one id")
    names = tuple(category.values()) if classes is None else tuple(classes)
    if set(names) != set(category.values()):
        differing = sorted(set(names) ^ set(category.values()))
        raise UserError(
            f"training and test file must have the same categories; '{path}' has {len(category)} and the training file "
            f"{len(names)}, which differ in {', '.join(differing[:5])}; name two files of one data set"
        )
    label = {name: number for number, name in enumerate(names, start=1)}
    of_image: dict[Any, list[dict[str, Any]]] = {image["id"]: [] for image in contents["images"]}
    if len(of_image) < len(contents["images"]):
        raise ValueError("two images have one id")
    for thing in contents["annotations"]:
        if thing["image_id"] not in of_image:
            raise ValueError(
                f"annotation {thing.get('id')} is of image {thing['image_id']}, which it does not list"
            )
        if thing["category_id"] not in category:
            raise ValueError(
                f"annotation {thing.get('id')} is of category {thing['category_id']}, which it does not list"
            )
        of_image[thing["image_id"]].append(thing)
    images = []
    for image in contents["images"]:
        file = os.path.join(root, image["file_name"])
        if not os.path.isfile(file):
            raise UserError(
                f"every image of an annotation file must be there; '{file}', which '{path}' names, does not exist; "
                "name the folder that the file names are relative to"
            )
        things = of_image[image["id"]]
        images.append(
            Annotated(
                file,
                int(image["width"]),
                int(image["height"]),
                np.array([_box(t) for t in things], np.float32).reshape(-1, 4),
                np.array([label[category[t["category_id"]]] for t in things], np.int64),
                np.array([bool(t.get("iscrowd", 0)) for t in things], bool),
                tuple(_shape(t, path) for t in things) if masks else None,
            )
        )
    if not images:
        raise ValueError("it lists no images")
    return Collection(f"'{path}'", names, tuple(images))


def _box(thing: dict[str, Any]) -> tuple[float, float, float, float]:
    """COCO's (left, top, width, height) with the right and the bottom edge in place of the sizes."""
    left, top, width, height = map(float, thing["bbox"])
    if not all(map(math.isfinite, (left, top, width, height))) or width < 0 or height < 0:
        raise ValueError(f"annotation {thing.get('id')} has bbox {thing['bbox']}")
    return left, top, left + width, top + height


def _shape(thing: dict[str, Any], path: Path) -> Any:
    """The outline: a list of polygons, or RLE as a mapping."""
    shape = thing.get("segmentation")
    if not shape:
        raise UserError(
            f"detection.masks=true needs an outline for every object; annotation {thing.get('id')} of '{path}' has no "
            "segmentation; set detection.masks=false"
        )
    if isinstance(shape, dict):
        sound = {"counts", "size"} <= shape.keys()
    else:  # four numbers would be taken for a box
        sound = all(isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in shape)
    if not sound:
        raise ValueError(
            f"annotation {thing.get('id')} has a segmentation that is neither RLE nor polygons of 3 points or more"
        )
    return shape
