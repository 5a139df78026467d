"""Shapes: discs, squares and crosses of random size, place and colours, drawn anew for each run and always the same."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ssl_zoo import Data, DataConfig, MemorySplit, data_source, section

SIDE = 16  # pixels
CLASSES = ("disc", "square", "cross")


@section
class ShapesConfig(DataConfig):
    """The keys that `data.` takes with data.source=shapes."""

    images: Annotated[int, Field(ge=3)] = 600
    """Training images; a third as many again are tested on."""


@data_source("shapes", config=ShapesConfig, side=SIDE)
def shapes(config: ShapesConfig) -> Data:
    """Returns the shapes, `data.images` of them to train on, in equal parts of the three classes."""
    generator = torch.Generator().manual_seed(0)
    train, test = (_draw(count, config.channels, generator) for count in (config.images, config.images // 3))
    return Data(train=train, labelled=train, test=test, classes=CLASSES, channels=config.channels)


def _draw(count: int, channels: int, generator: torch.Generator) -> MemorySplit:
    labels = torch.arange(count) % len(CLASSES)
    centre = 6 + 3 * torch.rand(count, 2, 1, 1, generator=generator)
    radius = 4 + 2 * torch.rand(count, 1, 1, generator=generator)
    y, x = (
        torch.arange(SIDE).view(shape) - centre[:, axis] for axis, shape in ((0, (1, -1, 1)), (1, (1, 1, -1)))
    )
    masks = (
        x**2 + y**2 <= radius**2,
        torch.maximum(x.abs(), y.abs()) <= 0.8 * radius,
        (torch.minimum(x.abs(), y.abs()) <= 0.4 * radius) & (torch.maximum(x.abs(), y.abs()) <= radius),
    )  # (N, side, side) each
    mask = torch.stack(masks)[labels, torch.arange(count)].unsqueeze(1)  # (N, 1, side, side)
    dark, bright = (low + 30 * torch.rand(count, channels, 1, 1, generator=generator) for low in (20, 200))
    images: Tensor = torch.where(mask, bright, dark).to(torch.uint8)
    return MemorySplit(images, labels)
