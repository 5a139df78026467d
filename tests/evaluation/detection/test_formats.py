"""Reading VOC and COCO: what was written is read, and each fault is said in one message."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.detection_data import CLASSES, Thing, coco_of, draw, write_coco, write_voc

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.batches import draws, training_batches
from ssl_zoo.evaluation.detection.batches import test_samples as samples_of
from ssl_zoo.evaluation.detection.coco import read_coco
from ssl_zoo.evaluation.detection.images import Collection, for_training
from ssl_zoo.evaluation.detection.voc import read_voc


def objects(collection: Collection) -> list[list[tuple[str, tuple[float, ...]]]]:
    return [
        [
            (collection.classes[label - 1], tuple(box))
            for label, box in zip(i.labels.tolist(), i.boxes.tolist(), strict=True)
        ]
        for i in collection.images
    ]


def drawn(numbers: range) -> list[list[tuple[str, tuple[int, ...]]]]:
    return [[(thing.name, thing.box) for thing in draw(number).things] for number in numbers]


def test_voc_is_read_as_drawn(tmp_path: Path) -> None:
    write_voc(tmp_path / "2007", {"trainval": range(6)}, difficult=frozenset({1, 4}))
    write_voc(tmp_path / "2012", {"trainval": range(6, 10)})
    both = read_voc([str(tmp_path / "2007"), str(tmp_path / "2012")], "trainval")
    assert both.classes == tuple(sorted(CLASSES))
    assert objects(both) == drawn(range(10))
    assert [bool(image.ignored[0]) for image in both.images] == [n in (1, 4) for n in range(10)]
    assert [(i.width, i.height) for i in both.images] == [draw(n).image.size for n in range(10)]


def test_coco_is_read_as_drawn(tmp_path: Path) -> None:
    write_coco(tmp_path, {"train": range(6)}, crowds=frozenset({2}))
    read = read_coco(str(tmp_path / "images"), str(tmp_path / "train.json"))
    assert read.classes == tuple(CLASSES)
    assert objects(read) == drawn(range(6))
    assert [image.ignored.any() for image in read.images] == [n == 2 for n in range(6)]


def test_categories_go_by_name_whatever_their_ids(tmp_path: Path) -> None:
    write_coco(tmp_path, {"train": range(6)})
    contents = coco_of(range(6))
    for category in contents["categories"]:
        category["id"] = 50 - category["id"]
    for annotation in contents["annotations"]:
        annotation["category_id"] = 50 - annotation["category_id"]
    (tmp_path / "test.json").write_text(json.dumps(contents))
    train = read_coco(str(tmp_path / "images"), str(tmp_path / "train.json"))
    test = read_coco(str(tmp_path / "images"), str(tmp_path / "test.json"), train.classes)
    assert objects(test) == objects(train)


def colour_is_right(pixels: np.ndarray, name: str, box: np.ndarray) -> bool:
    x, y = int(box[[0, 2]].mean()), int(box[[1, 3]].mean())
    return tuple(pixels[:, y, x]) == CLASSES[name]


@pytest.mark.parametrize("workers", [0, 2])
def test_boxes_and_masks_follow_a_flip(tmp_path: Path, workers: int) -> None:
    pytest.importorskip("pycocotools")
    write_coco(tmp_path, {"train": range(6)}, crowds=frozenset({2}))
    read = read_coco(str(tmp_path / "images"), str(tmp_path / "train.json"), masks=True)
    plain = list(samples_of(read, workers))
    batches = list(training_batches(read, 8, 3, seed=5, workers=workers))
    order = [position for _, position in islice(draws(6, 5), 24)]
    assert sorted(order[:6]) == list(range(6))  # each image once, then each once more
    flipped = 0
    for sample, position in zip([s for batch in batches for s in batch], order, strict=True):
        same = np.array_equal(sample.image, plain[position].image)
        assert same or np.array_equal(sample.image, plain[position].image[:, :, ::-1])
        flipped += not same
        assert sample.masks is not None
        for box, label, mask in zip(sample.boxes, sample.labels, sample.masks, strict=True):
            name = read.classes[label - 1]
            assert colour_is_right(sample.image, name, box)
            rows, columns = np.nonzero(mask)
            extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(extent, box, atol=1)
            share = mask.sum() / (box[2:] - box[:2]).prod()
            assert abs(share - (0.5 if name == "diamond" and position != 2 else 1)) < 0.06
    assert 4 <= flipped <= 20


def test_training_leaves_out_crowds_flat_boxes_and_empty_images(tmp_path: Path) -> None:
    write_coco(tmp_path, {"train": range(4)})
    contents = coco_of(range(4), crowds=frozenset({0, 3}))  # image 0 has no other object, image 3 one
    first = next(a for a in contents["annotations"] if a["image_id"] == 101)
    first["bbox"][2] = 0
    second = next(a for a in contents["annotations"] if a["image_id"] == 102)
    second["bbox"] = [second["bbox"][0], second["bbox"][1], 500, 500]
    (tmp_path / "train.json").write_text(json.dumps(contents))
    read = read_coco(str(tmp_path / "images"), str(tmp_path / "train.json"))
    kept, left_out = for_training(read, crowds=False)
    assert tuple(left_out) == (2, 1, 1)
    assert [len(image.labels) for image in kept.images] == [1, 1, 1]
    width, height = draw(2).image.size
    assert kept.images[1].boxes[0, 2:].tolist() == [width, height]
    assert for_training(read, crowds=True)[1].crowds == 0


def voc_without(folder: Path, part: str) -> None:
    write_voc(folder, {"trainval": range(3)})
    (folder / part).rename(folder / "elsewhere")


VOC_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda f: None, "does not exist; name the folder of one year"),
    "no images": (lambda f: voc_without(f, "JPEGImages"), "lacks JPEGImages"),
    "no image": (lambda f: voc_without(f, "JPEGImages/000001.png"), "has no '000001'"),
    "no annotation": (lambda f: voc_without(f, "Annotations/000001.xml"), "must have an annotation"),
    "no split": (lambda f: write_voc(f, {"val": range(2)}), "does not exist; there are val"),
    "empty split": (lambda f: write_voc(f, {"trainval": range(0)}), "must list images"),
}


@pytest.mark.parametrize("fault", VOC_FAULTS)
def test_faults_of_voc_folders(tmp_path: Path, fault: str) -> None:
    make, message = VOC_FAULTS[fault]
    make(tmp_path / "voc")
    with pytest.raises(UserError, match=message):
        read_voc([str(tmp_path / "voc")], "trainval")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</object>", "", "mismatched tag"),
        ("<width>", "<breadth>", "mismatched tag"),
        ("<name>bar</name>", "", "<name> is missing"),
        ("<xmin>", "<xmin>x", "could not convert"),
        ("<xmin>", "<xmin>99", "corners swapped"),
    ],
)
def test_damaged_annotations_of_voc(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_voc(tmp_path, {"trainval": range(3)})
    path = tmp_path / "Annotations/000002.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=f"000002.xml' is not: .*{message}"):
        read_voc([str(tmp_path)], "trainval")


def test_a_list_of_one_class_is_no_split(tmp_path: Path) -> None:
    write_voc(tmp_path, {"trainval": range(3)})
    (tmp_path / "ImageSets/Main/square_trainval.txt").write_text("000000  1\n000001 -1\n")
    with pytest.raises(UserError, match="the list of one class"):
        read_voc([str(tmp_path)], "square_trainval")


def test_a_class_that_training_images_lack_is_refused(tmp_path: Path) -> None:
    write_voc(tmp_path, {"test": range(3)})
    with pytest.raises(UserError, match="has 'diamond', and they have square, bar"):
        read_voc([str(tmp_path)], "test", ("square", "bar"))


def damage(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    contents = coco_of(range(3))
    change(contents)
    return contents


COCO_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no images": (lambda c: c.pop("images"), "'images' is missing"),
    "no box": (lambda c: c["annotations"][0].pop("bbox"), "'bbox' is missing"),
    "negative box": (lambda c: c["annotations"][0].update(bbox=[1, 1, -4, 5]), "has bbox"),
    "box without image": (lambda c: c["annotations"][0].update(image_id=7), "is of image 7"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=7), "is of category 7"),
    "no image file": (lambda c: c["images"][0].update(file_name="a.png"), "a.png', which .* does not exist"),
    "one name twice": (lambda c: c["categories"][0].update(name="bar"), "two categories have one name"),
    "one image twice": (lambda c: c["images"].append(c["images"][0]), "two images have one id"),
    "other categories": (lambda c: c["categories"][0].update(name="disc"), "which differ in disc, square"),
    "no outline": (lambda c: c["annotations"][0].pop("segmentation"), "set detection.masks=false"),
    "short polygon": (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "neither RLE nor"),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_faults_of_coco_files(tmp_path: Path, fault: str) -> None:
    change, message = COCO_FAULTS[fault]
    write_coco(tmp_path, {"train": range(3)})
    (tmp_path / "train.json").write_text(json.dumps(damage(change)))
    with pytest.raises(UserError, match=message) as caught:
        read_coco(str(tmp_path / "images"), str(tmp_path / "train.json"), tuple(CLASSES), masks=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\xff"])
def test_what_is_no_coco_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="is COCO's JSON"):
        read_coco(str(tmp_path), str(tmp_path / "a.json"))
    with pytest.raises(UserError, match="does not exist; name a JSON file"):
        read_coco(str(tmp_path), str(tmp_path / "b.json"))
    with pytest.raises(UserError, match="is none; name it"):
        read_coco(str(tmp_path / "nowhere"), str(tmp_path / "a.json"))


def test_an_image_of_another_size_than_annotated_is_named(tmp_path: Path) -> None:
    write_voc(tmp_path, {"trainval": range(2)})
    other = draw(1).image.resize((50, 40))
    other.save(tmp_path / "JPEGImages/000001.png")
    read = read_voc([str(tmp_path)], "trainval")
    with pytest.raises(UserError, match=r"000001.png' is not: it is 50 x 40"):
        list(samples_of(read, 0))


def test_the_drawings_are_what_the_tests_take_them_for() -> None:
    things: list[Thing] = [thing for number in range(36) for thing in draw(number).things]
    assert {thing.name for thing in things} == set(CLASSES)
    assert all(left < right and top < bottom for _, (left, top, right, bottom), _ in things)
