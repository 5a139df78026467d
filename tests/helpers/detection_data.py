"""Coloured shapes on noise, in the VOC and in the COCO format, and a detector small enough to train in a test."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from PIL import Image, ImageDraw

from ssl_zoo.config.validate import validate
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.protocols import eval_config
from ssl_zoo.evaluation.task import Subject, Task
from ssl_zoo.hardware.device import Hardware

CLASSES = {"square": (220, 40, 40), "diamond": (40, 220, 40), "bar": (60, 60, 230)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CPU = Hardware(torch.device("cpu"), "fp32", "a test")
TINY: dict[str, Any] = {
    "iterations": 60,
    "batch_size": 4,
    "lr": 0.08,  # 0.02 for a batch of 4
    "warmup_iterations": 10,
    "min_size": 96,
    "max_size": 160,
    "fpn_channels": 32,
    "box_head_width": 64,
    "regions_per_image": 64,
    "workers": 0,
}


class Thing(NamedTuple):
    name: str
    box: tuple[int, int, int, int]  # left, top, right, bottom, half open
    polygon: list[float]


class Drawing(NamedTuple):
    image: Image.Image
    things: list[Thing]


def draw(number: int) -> Drawing:
    """An image of 64 to 96 pixels with one or two shapes beside each other; a function of the number."""
    random = np.random.default_rng([7, number])
    width, height = (int(random.integers(32, 49)) * 2 for _ in range(2))
    image = Image.fromarray(random.integers(90, 150, (height, width, 3)).astype(np.uint8))
    pencil = ImageDraw.Draw(image)
    things = []
    for place in range(1 + number % 2):
        name = list(CLASSES)[(number + place) % 3]
        side = int(random.integers(22, 28))
        left = int(random.integers(0, width // 2 - side)) + place * (width // 2)
        top = int(random.integers(0, height - side))
        down = side // 2 if name == "bar" else side
        right, bottom = left + side, top + down
        if name == "diamond":
            x, y = (left + right) / 2, (top + bottom) / 2
            polygon = [x, top, right, y, x, bottom, left, y]
        else:
            polygon = [left, top, right, top, right, bottom, left, bottom]
        corners = list(zip(polygon[::2], polygon[1::2], strict=True))
        pencil.polygon([(min(x, right - 1), min(y, bottom - 1)) for x, y in corners], fill=CLASSES[name])
        things.append(Thing(name, (left, top, right, bottom), [float(v) for v in polygon]))
    return Drawing(image, things)


def write_voc(folder: Path, splits: dict[str, range], difficult: frozenset[int] = frozenset()) -> Path:
    """A VOC folder; images of `difficult` numbers have their first object marked so."""
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for split, numbers in splits.items():
        names = [f"{number:06d}" for number in numbers]
        (folder / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for number, name in zip(numbers, names, strict=True):
            drawing = draw(number)
            drawing.image.save(folder / "JPEGImages" / f"{name}.png")
            objects = "".join(
                f"<object><name>{thing.name}</name><difficult>{int(number in difficult and i == 0)}</difficult><bndbox>"
                f"<xmin>{thing.box[0] + 1}</xmin><ymin>{thing.box[1] + 1}</ymin><xmax>{thing.box[2]}</xmax>"
                f"<ymax>{thing.box[3]}</ymax></bndbox></object>"
                for i, thing in enumerate(drawing.things)
            )
            width, height = drawing.image.size
            (folder / "Annotations" / f"{name}.xml").write_text(
                f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"
            )
    return folder


def coco_of(numbers: range, crowds: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The annotation file of some images; those of `crowds` numbers have their first object marked so, as RLE."""
    contents: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(CLASSES)],
    }
    for number in numbers:
        drawing = draw(number)
        width, height = drawing.image.size
        contents["images"].append(
            {"id": 100 + number, "file_name": f"{number:06d}.png", "width": width, "height": height}
        )
        for i, thing in enumerate(drawing.things):
            left, top, right, bottom = thing.box
            crowd = number in crowds and i == 0
            contents["annotations"].append(
                {
                    "id": len(contents["annotations"]),
                    "image_id": 100 + number,
                    "category_id": 10 + list(CLASSES).index(thing.name),
                    "bbox": [left, top, right - left, bottom - top],
                    "iscrowd": int(crowd),
                    "segmentation": rle_of_box(thing.box, width, height) if crowd else [thing.polygon],
                }
            )
    return contents


def rle_of_box(box: tuple[int, int, int, int], width: int, height: int) -> dict[str, Any]:
    """Uncompressed RLE of a box: runs of zeros and ones in turn, down the columns."""
    mask = np.zeros((height, width), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    flat = mask.flatten(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=flat[-1])) if flat.any() else np.array([], int)
    bounds = [0, *edges.tolist(), len(flat)]
    return {"size": [height, width], "counts": [b - a for a, b in pairwise(bounds)]}


def write_coco(folder: Path, splits: dict[str, range], crowds: frozenset[int] = frozenset()) -> Path:
    """A folder images/ and a file NAME.json per split."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, numbers in splits.items():
        for number in numbers:
            draw(number).image.save(folder / "images" / f"{number:06d}.png")
        (folder / f"{split}.json").write_text(json.dumps(coco_of(numbers, crowds)))
    return folder


def config_of(**changes: Any) -> DetectionConfig:
    return validate(DetectionConfig, {**TINY, **changes}, "detection")


def backbone(name: str = "test_resnet", seed: int = 0, channels: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = timm.create_model(name, num_classes=0, in_chans=channels)
    return model.eval()


def task_of(
    config: DetectionConfig, model: torch.nn.Module | None = None, channels: int = 3, seed: int = 0
) -> Task:
    model = backbone() if model is None else model
    subject = Subject(
        title="a test's encoder",
        backbone=model,
        num_features=96,
        channels=channels,
        mean=MEAN[:channels],
        std=STD[:channels],
        identity={"weights": "random"},
        folder=Path("nowhere"),
    )
    evaluation = eval_config()(
        protocol="detection_voc", kind="detection", data=None, size=64, seed=seed, detection=config
    )
    return Task(evaluation, subject, None, CPU, CPU)
