"""Images with boxes: what both formats, VOC and COCO, are read into."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.errors import UserError

__all__ = ["Annotated", "Collection", "Detections", "LeftOut", "for_training"]


@dataclass(frozen=True, slots=True)
class Annotated:
    """An image file with its n objects. Coordinates are pixels from the upper left corner: (0, 0, W, H) is all."""

    path: str  # absolute
    width: int
    height: int
    boxes: NDArray[np.float32]  # (n, 4): left, top, right, bottom
    labels: NDArray[np.int64]  # (n,) from 1, since 0 is the background
    ignored: NDArray[np.bool_]  # (n,) not counted in the test: VOC's difficult, COCO's crowd
    shapes: tuple[Any, ...] | None = None  # n outlines as a COCO file has them: polygons or RLE

    def select(self, rows: NDArray[np.bool_]) -> Annotated:
        """The same image with some of its objects; `rows` (n,)."""
        shapes = (
            None if self.shapes is None else tuple(s for s, r in zip(self.shapes, rows, strict=True) if r)
        )
        return dataclasses.replace(
            self,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            ignored=self.ignored[rows],
            shapes=shapes,
        )


@dataclass(frozen=True)
class Collection:
    """The images of one split."""

    title: str  # for messages
    classes: tuple[str, ...]  # label 1 is the first
    images: tuple[Annotated, ...]

    @property
    def instances(self) -> int:
        """Number of objects."""
        return sum(len(image.labels) for image in self.images)


class Detections(NamedTuple):
    """The m objects that a detector finds in an image."""

    boxes: NDArray[np.float32]  # (m, 4), as in `Annotated`
    labels: NDArray[np.int64]  # (m,) from 1
    scores: NDArray[np.float32]  # (m,)
    masks: tuple[dict[str, Any], ...] | None = None  # m masks of the whole image, compressed RLE


class LeftOut(NamedTuple):
    """Images and objects that training leaves out."""

    crowds: int
    boxes_without_area: int
    images_without_boxes: int


def for_training(collection: Collection, *, crowds: bool) -> tuple[Collection, LeftOut]:
    """The part of a split that a detector is trained on, as Detectron2 chooses it.

    Images without a box are left out, boxes end at the image's edges, and those without area are left out.

    Args:
        collection: the training split.
        crowds: whether ignored objects are kept: VOC's difficult ones are, COCO's crowds aren't.

    Raises:
        UserError: no box is left.

    - [0] Detectron2, 2019, https://github.com/facebookresearch/detectron2 (data/datasets/pascal_voc.py, data/build.py)
    """
    kept, crowd, flat = [], 0, 0
    for image in collection.images:
        edge = np.array([image.width, image.height] * 2, np.float32)
        clipped = dataclasses.replace(image, boxes=image.boxes.clip(0, edge))
        wanted = np.ones(len(image.labels), bool) if crowds else ~image.ignored
        solid = (clipped.boxes[:, 2:] > clipped.boxes[:, :2]).all(axis=1)
        crowd += int((~wanted).sum())
        flat += int((wanted & ~solid).sum())
        if (wanted & solid).any():
            kept.append(clipped.select(wanted & solid))
    if not kept:
        raise UserError(
            f"a detector is trained on boxes; {collection.title} has {len(collection.images)} images and no box that "
            "counts; name another detection.train_split"
        )
    left_out = LeftOut(crowd, flat, len(collection.images) - len(kept))
    return dataclasses.replace(collection, images=tuple(kept)), left_out
