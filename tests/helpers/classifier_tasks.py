"""Evaluations of classifiers small enough for a test: coloured squares, that any features tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_zoo.backbone import build_backbone
from ssl_zoo.config.groups import group_dirs, load_group
from ssl_zoo.config.schema import BackboneConfig, ViewConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.data import Data, MemorySplit, Split
from ssl_zoo.evaluation.protocols import eval_config
from ssl_zoo.evaluation.task import Subject, Task
from ssl_zoo.hardware.device import Hardware

CLASSES = 6
SIZE = 8
MEAN, STD = (0.4, 0.4, 0.4), (0.3, 0.3, 0.3)


def protocol(name: str) -> dict[str, Any]:
    """Returns what a protocol's YAML holds, with what it builds on."""
    return load_group("protocol", name, group_dirs()).values


class Pixels(nn.Module):
    """A backbone without weights: the pixels themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def squares(per_class: int, seed: int, classes: int = CLASSES) -> MemorySplit:
    """Images (N, 3, 8, 8), each class of one colour, with noise."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.tensor([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(1, classes + 1)]) * 150 + 40
    labels = torch.arange(classes).repeat(per_class)
    noise = torch.randint(-30, 31, (len(labels), 3, SIZE, SIZE), generator=generator)
    return MemorySplit((colours[labels][:, :, None, None] + noise).to(torch.uint8), labels)


def shuffled(split: MemorySplit, seed: int = 0) -> MemorySplit:
    """The same images, with labels that have nothing to do with them."""
    assert split.labels is not None
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    return MemorySplit(split.images, split.labels[order])


def make_task(
    recipe: dict[str, Any],
    train: Split,
    test: Split,
    *,
    backbone: nn.Module | None = None,
    seed: int = 0,
    views: tuple[ViewConfig, ...] = (),
    precision: str = "fp32",
    **changes: Any,
) -> Task:
    """A task of a protocol's YAML, `changes` being of its section."""
    section = {**recipe[recipe["kind"]], **changes}
    values = {
        "protocol": "test", "kind": recipe["kind"], "data": {"name": "squares", "source": "digits"}, "size": SIZE,
        "seed": seed, recipe["kind"]: section,
    }  # fmt: skip
    if backbone is None:
        torch.manual_seed(0)
        backbone = build_backbone(BackboneConfig(name="test_resnet", stem="small"), 3, SIZE).model.eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
    names = tuple(map(str, range(CLASSES)))
    cpu = torch.device("cpu")
    return Task(
        validate(eval_config(), values, ""),
        Subject("squares", backbone, features, 3, MEAN, STD, {}, Path(), views),
        Data(train, train, test, names, 3),
        Hardware(cpu, "fp32", ""),
        Hardware(cpu, precision, ""),
    )


def normalised(split: MemorySplit) -> Tensor:
    """The images as a view that neither crops nor flips: (N, 3, 8, 8) float64."""
    return (split.images.double() / 255 - MEAN[0]) / STD[0]


WHOLE = {"crop": {"scale": [1.0, 1.0], "ratio": [1.0, 1.0]}, "flip": 0.0}  # the image as it is
