"""VOC's average precision, at every overlap that AP is a mean over.

A found object counts as right where the object that it overlaps most is of its class, by more than the limit,
and no object of a higher score has taken it; it doesn't count at all where that object is difficult. This is
Detectron2's PascalVOCDetectionEvaluator, which the papers' VOC figures come from, except that scores and
boxes aren't rounded (it writes 3 and 1 decimals) and that recall is compared exactly.

- [0] PASCAL VOC, 2010, https://doi.org/10.1007/s11263-009-0275-4 (Sec. 4.2: eleven points; area since 2010)
- [1] Detectron2, https://github.com/facebookresearch/detectron2 (evaluation/pascal_voc_evaluation.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.evaluation.detection.images import Annotated, Detections
from ssl_zoo.evaluation.detection.scores import IOUS, AveragePrecision

__all__ = ["VocScores", "area", "eleven_points", "voc_scores"]


class VocScores(NamedTuple):
    """Average precision by the metric of VOC 2007, and by that of 2010 and later."""

    eleven: AveragePrecision
    area: AveragePrecision


def voc_scores(images: Sequence[Annotated], detections: Sequence[Detections], classes: int) -> VocScores:
    """Scores the detections in N images.

    Args:
        images: N, with their true objects.
        detections: N, in the same order.
        classes: K; labels are 1 to K.
    """
    eleven = np.full((classes, len(IOUS)), np.nan)
    below = eleven.copy()
    for row in range(classes):
        matches = _match(images, detections, row + 1)
        if matches.positives == 0:
            continue
        for column, limit in enumerate(IOUS):
            hits, misses = _judge(matches, float(limit))
            eleven[row, column] = eleven_points(hits, misses, matches.positives)
            below[row, column] = area(hits, misses, matches.positives)
    return VocScores(AveragePrecision(eleven), AveragePrecision(below))


class _Matches(NamedTuple):
    """The M found objects of one class, best score first, each with the true one that it overlaps most."""

    overlap: NDArray[np.float64]  # (M,)
    truth: NDArray[np.int64]  # (M,) its number among the true objects of the class in all images
    difficult: NDArray[np.bool_]  # (M,) whether that one is
    positives: int  # true objects that aren't difficult


def _match(images: Sequence[Annotated], detections: Sequence[Detections], label: int) -> _Matches:
    scores, overlaps, truths, difficult = [], [], [], []
    passed, positives = 0, 0
    for image, objects in zip(images, detections, strict=True):
        true, mine = image.labels == label, objects.labels == label
        hard, count = image.ignored[true], int(true.sum())
        if mine.any():
            overlap = _overlaps(objects.boxes[mine], image.boxes[true])  # (m, n)
            best = overlap.argmax(axis=1) if count else np.zeros(len(overlap), np.int64)
            scores.append(objects.scores[mine])
            overlaps.append(overlap.max(axis=1, initial=0.0))
            truths.append(passed + best)
            difficult.append(hard[best] if count else np.zeros(len(overlap), bool))
        passed += count
        positives += int((~hard).sum())
    if not scores:
        return _Matches(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool), positives)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    overlap, truth, hard = (np.concatenate(parts)[order] for parts in (overlaps, truths, difficult))
    return _Matches(overlap, truth, hard, positives)


def _overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of boxes (m, 4) and (n, 4), (m, n). VOC adds a pixel to sides, which `read_voc` has
    done."""
    left, right = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    sides = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    inside = sides.clip(min=0).prod(axis=-1)  # (m, n)
    areas = [(x[..., 2:] - x[..., :2]).prod(axis=-1) for x in (left, right)]
    union = areas[0] + areas[1] - inside
    overlaps: NDArray[np.float64] = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return overlaps


def _judge(matches: _Matches, limit: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts which of the first 1, 2, ... detections are right and wrong at a limit of overlap, (M,) each."""
    over = matches.overlap > limit
    candidates = np.flatnonzero(over & ~matches.difficult)
    first = np.unique(matches.truth[candidates], return_index=True)[1]
    right = np.zeros(len(over), np.int64)
    right[candidates[first]] = 1
    wrong = ((right == 0) & ~(over & matches.difficult)).astype(np.int64)
    return right.cumsum(), wrong.cumsum()


def eleven_points(hits: NDArray[np.int64], misses: NDArray[np.int64], positives: int) -> float:
    """The mean, over recalls of 0, 0.1, ..., 1, of the best precision at that recall or a higher one."""
    precision = hits / np.maximum(hits + misses, 1)
    # In whole numbers: the float 0.3 is not 3 of 10.
    best = [float(precision[10 * hits >= k * positives].max(initial=0.0)) for k in range(11)]
    return sum(best) / 11


def area(hits: NDArray[np.int64], misses: NDArray[np.int64], positives: int) -> float:
    """The area below the curve of precision over recall, made monotonic from the right."""
    precision = hits / np.maximum(hits + misses, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)  # 1 where an object was found
    return float((gained * envelope).sum() / positives)
