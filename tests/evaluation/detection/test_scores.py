"""Average precision: VOC's against naive loops in exact fractions, COCO's on cases computed by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ssl_zoo.evaluation.detection.coco_ap import coco_scores
from ssl_zoo.evaluation.detection.images import Annotated, Detections
from ssl_zoo.evaluation.detection.scores import IOUS
from ssl_zoo.evaluation.detection.voc_ap import voc_scores

Box = tuple[int, int, int, int]


def image(
    boxes: list[Box], labels: list[int], ignored: list[bool] | None = None, shapes: object = None
) -> Annotated:
    return Annotated(
        "nowhere",
        120,
        120,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(ignored if ignored is not None else [False] * len(labels), bool),
        shapes,  # type: ignore[arg-type]
    )


def found(boxes: list[Box], labels: list[int], scores: list[float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(scores, np.float32)
    )


def overlap(a: Box, b: Box) -> Fraction:
    """As VOC defines it, of boxes that name their first and last pixel, counted from 1."""
    a, b = ((x[0] + 1, x[1] + 1, x[2], x[3]) for x in (a, b))
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    inside = max(width, 0) * max(height, 0)
    areas = [(x[2] - x[0] + 1) * (x[3] - x[1] + 1) for x in (a, b)]
    return Fraction(inside, sum(areas) - inside)


def naive(
    images: list[Annotated], results: list[Detections], label: int, limit: Fraction
) -> tuple[Fraction, Fraction]:
    """11-point and area AP of one class, object by object."""
    claims = [
        (-score, n, tuple(map(int, box)))
        for n, r in enumerate(results)
        for box, mine, score in zip(r.boxes.tolist(), r.labels.tolist(), r.scores.tolist(), strict=True)
        if mine == label
    ]
    truths = {
        n: [
            (tuple(map(int, box)), bool(hard))
            for box, mine, hard in zip(i.boxes.tolist(), i.labels.tolist(), i.ignored, strict=True)
            if mine == label
        ]
        for n, i in enumerate(images)
    }
    positives = sum(not hard for things in truths.values() for _, hard in things)
    taken, right, wrong = set(), 0, 0
    curve: list[tuple[Fraction, Fraction]] = []  # recall, precision
    for _, n, box in sorted(claims, key=lambda claim: claim[0]):
        best, which = Fraction(0), -1
        for k, (true, _) in enumerate(truths[n]):
            if overlap(box, true) > best:  # type: ignore[arg-type]
                best, which = overlap(box, true), k  # type: ignore[arg-type]
        if best > limit and truths[n][which][1]:
            pass  # difficult: neither right nor wrong
        elif best > limit and (n, which) not in taken:
            taken.add((n, which))
            right += 1
        else:
            wrong += 1
        if right + wrong:
            curve.append((Fraction(right, positives), Fraction(right, right + wrong)))

    def at(recall: Fraction) -> Fraction:
        return max((p for r, p in curve if r >= recall), default=Fraction(0))

    eleven = sum((at(Fraction(k, 10)) for k in range(11)), Fraction(0)) / 11
    area = sum((at(Fraction(k, positives)) for k in range(1, positives + 1)), Fraction(0)) / positives
    return eleven, area


def random_case(seed: int) -> tuple[list[Annotated], list[Detections]]:
    """Some images with objects, of which a detector finds most, inexactly, with others beside."""
    random = np.random.default_rng(seed)
    images, results = [], []
    for _ in range(8):
        count = int(random.integers(0, 5))
        corners = random.integers(0, 60, (count, 2))
        boxes = np.concatenate([corners, corners + random.integers(10, 50, (count, 2))], axis=1)
        labels = random.integers(1, 3, count)
        images.append(image(boxes.tolist(), labels.tolist(), (random.random(count) < 0.25).tolist()))
        repeats = random.integers(0, 3, count)
        near = np.repeat(boxes, repeats, axis=0)
        near = near + random.integers(-3, 4, near.shape)
        near_labels = np.where(random.random(len(near)) < 0.9, np.repeat(labels, repeats), 3)
        stray = random.integers(0, 40, (int(random.integers(0, 3)), 4)) + np.array([0, 0, 41, 41])
        stray_labels = random.integers(1, 3, len(stray))
        scores = random.integers(1, 20, len(near) + len(stray)) / 20  # with ties
        everything = np.concatenate([near, stray]).tolist()
        results.append(found(everything, [*near_labels.tolist(), *stray_labels.tolist()], scores.tolist()))
    return images, results


@pytest.mark.parametrize("seed", range(6))
def test_voc_ap_is_that_of_naive_loops(seed: int) -> None:
    images, results = random_case(seed)
    scores = voc_scores(images, results, 3)
    for row, label in enumerate((1, 2)):
        for column, limit in enumerate(IOUS):
            eleven, area = naive(images, results, label, Fraction(round(100 * limit), 100))
            assert scores.eleven.values[row, column] == pytest.approx(float(eleven), abs=1e-12)
            assert scores.area.values[row, column] == pytest.approx(float(area), abs=1e-12)
    assert np.isnan(scores.area.values[2]).all()  # found, but there are none
    assert scores.area.by_class[2] is None
    assert scores.area.ap == pytest.approx(np.nanmean(scores.area.values))
    assert scores.area.ap50 == pytest.approx(scores.area.values[:2, 0].mean())
    assert scores.area.ap75 == pytest.approx(scores.area.values[:2, 5].mean())


# One image, class 1: an object found with overlap 0.82 (score 0.9), another with 0.625 (0.7), and nothing (0.8).
TRUE: list[Box] = [(0, 0, 100, 10), (0, 50, 80, 60)]
FOUND: list[Box] = [(0, 0, 82, 10), (0, 50, 50, 60), (0, 90, 40, 110)]
SCORES = [0.9, 0.7, 0.8]
# Up to 0.6 the precision is 1 to a recall of 1/2 and 2/3 to 1; up to 0.8 it is 1 to 1/2 and then 0; above it is 0.
BOTH_COCO, ONE_COCO = (51 + 50 * 2 / 3) / 101, 51 / 101  # 51 of the recalls 0, 0.01, ... are up to 1/2
BOTH_ELEVEN, ONE_ELEVEN = (6 + 5 * 2 / 3) / 11, 6 / 11
BOTH_AREA, ONE_AREA = 1 / 2 + 1 / 2 * 2 / 3, 1 / 2


def check_by_hand(ap: float | None, ap50: float | None, ap75: float | None, both: float, one: float) -> None:
    assert ap50 == pytest.approx(both)
    assert ap75 == pytest.approx(one)
    assert ap == pytest.approx((3 * both + 4 * one) / 10)


def test_voc_by_hand() -> None:
    scores = voc_scores([image(TRUE, [1, 1])], [found(FOUND, [1, 1, 1], SCORES)], 1)
    check_by_hand(scores.eleven.ap, scores.eleven.ap50, scores.eleven.ap75, BOTH_ELEVEN, ONE_ELEVEN)
    check_by_hand(scores.area.ap, scores.area.ap50, scores.area.ap75, BOTH_AREA, ONE_AREA)


def test_an_overlap_must_be_above_the_limit() -> None:
    half = voc_scores([image([(0, 0, 40, 10)], [1])], [found([(0, 0, 20, 10)], [1], [0.9])], 1)
    assert (half.area.ap50, half.eleven.ap50) == (0, 0)
    more = voc_scores([image([(0, 0, 40, 10)], [1])], [found([(0, 0, 21, 10)], [1], [0.9])], 1)
    assert (more.area.ap50, more.eleven.ap50) == (1, 1)


def test_coco_by_hand() -> None:
    pytest.importorskip("pycocotools")
    scores = coco_scores([image(TRUE, [1, 1])], [found(FOUND, [1, 1, 1], SCORES)], 1, "bbox")
    check_by_hand(scores.ap, scores.ap50, scores.ap75, BOTH_COCO, ONE_COCO)


def test_coco_ignores_what_lies_in_a_crowd_and_classes_without_objects() -> None:
    pytest.importorskip("pycocotools")
    crowd: Box = (60, 60, 120, 120)
    truth = image([*TRUE, crowd, (0, 0, 9, 9)], [1, 1, 1, 3], [False, False, True, False])
    claims = found([*FOUND, (70, 70, 90, 90), (5, 5, 9, 9)], [1, 1, 1, 1, 2], [*SCORES, 0.99, 0.99])
    scores = coco_scores([image([], []), truth], [found([], [], []), claims], 3, "bbox")
    check_by_hand(scores.by_class[0], scores.values[0, 0], scores.values[0, 5], BOTH_COCO, ONE_COCO)
    assert scores.by_class[1:] == [None, 0.0]  # class 2 has no objects, class 3 is never found


def test_coco_masks_by_hand() -> None:
    pytest.importorskip("pycocotools")
    from ssl_zoo.evaluation.detection.masks import encode_mask

    def polygon(box: Box) -> list[list[int]]:
        left, top, right, bottom = box
        return [[left, top, right, top, right, bottom, left, bottom]]

    masks = np.zeros((3, 120, 120), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, FOUND, strict=True):
        mask[top:bottom, left:right] = 1
    wide: list[Box] = [(0, 0, 120, 120)] * 3  # boxes that would all be wrong
    claims = found(wide, [1, 1, 1], SCORES)._replace(masks=encode_mask(masks))
    truth = image(TRUE, [1, 1], shapes=tuple(map(polygon, TRUE)))
    scores = coco_scores([truth], [claims], 1, "segm")
    check_by_hand(scores.ap, scores.ap50, scores.ap75, BOTH_COCO, ONE_COCO)
    assert coco_scores([truth], [claims], 1, "bbox").ap == 0


def test_nothing_found_is_zero_and_nothing_there_is_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools")
    nothing = found([], [], [])
    for truth, expected in ((image(TRUE, [1, 1]), 0.0), (image([], []), None)):
        voc = voc_scores([truth], [nothing], 1)
        assert [voc.eleven.ap, voc.area.ap] == [expected] * 2
        assert coco_scores([truth], [nothing], 1, "bbox").ap == expected
    assert capsys.readouterr().out == ""
