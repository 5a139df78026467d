"""COCO's average precision of boxes and of masks, by pycocotools itself.

- [0] COCO, 2014, https://cocodataset.org/#detection-eval
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ssl_zoo.evaluation.detection.images import Annotated, Detections
from ssl_zoo.evaluation.detection.masks import to_rle
from ssl_zoo.evaluation.detection.scores import AveragePrecision

__all__ = ["coco_scores"]


def coco_scores(
    images: Sequence[Annotated], detections: Sequence[Detections], classes: int, kind: Literal["bbox", "segm"]
) -> AveragePrecision:
    """Scores the detections in N images, at most 100 objects of each, by 101 points of recall.

    Ignored objects are crowds to it: what lies in one is neither right nor wrong. For VOC's difficult objects
    that is how converters to the COCO format put it too.

    Args:
        images: N, with their true objects; with shapes for "segm".
        detections: N, in the same order; with masks for "segm".
        classes: K; labels are 1 to K.
        kind: boxes or masks.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    listed: dict[str, Any] = {
        "images": [{"id": i, "width": x.width, "height": x.height} for i, x in enumerate(images)],
        "categories": [{"id": label, "name": str(label)} for label in range(1, classes + 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints tables
        truth, results = COCO(), COCO()
        truth.dataset = {**listed, "info": {}, "annotations": _truth(images, kind)}
        truth.createIndex()
        objects = _results(detections, kind)
        if objects:
            results = truth.loadRes(objects)
        else:
            results.dataset = {**listed, "annotations": []}
            results.createIndex()
        evaluator = COCOeval(truth, results, kind)
        evaluator.evaluate()
        evaluator.accumulate()
    # (10 overlaps, 101 recalls, K, 4 ranges of area, 3 limits of objects); -1: none
    precision = evaluator.eval["precision"]
    at = precision[:, :, :, 0, 2]  # all areas, 100 objects
    values = np.where(at > -1, at, np.nan).mean(axis=1).T  # (K, 10)
    return AveragePrecision(values)


def _truth(images: Sequence[Annotated], kind: str) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        for row, (left, top, right, bottom) in enumerate(image.boxes.tolist()):
            width, height = right - left, bottom - top
            annotation = {
                "id": len(annotations) + 1,  # from 1: pycocotools takes a match with 0 for none
                "image_id": number,
                "category_id": int(image.labels[row]),
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": int(image.ignored[row]),
            }
            if kind == "segm":
                assert image.shapes is not None
                annotation["segmentation"] = to_rle(image.shapes[row], image.height, image.width)
            annotations.append(annotation)
    return annotations


def _results(detections: Sequence[Detections], kind: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for number, objects in enumerate(detections):
        boxes = objects.boxes.astype(float)
        for row, label in enumerate(objects.labels.tolist()):
            result = {"image_id": number, "category_id": label, "score": float(objects.scores[row])}
            if kind == "segm":
                assert objects.masks is not None
                result["segmentation"] = objects.masks[row]
            else:
                left, top, right, bottom = boxes[row].tolist()
                result["bbox"] = [left, top, right - left, bottom - top]
            results.append(result)
    return results
