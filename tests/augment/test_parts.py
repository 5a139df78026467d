"""The parts of a batch, made by several processes, against the whole, made by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.methods import EVERY_OPERATION, NO_OPERATION, ROUNDING

from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import (
    AffineConfig,
    BlurConfig,
    CropConfig,
    ViewConfig,
)

MEAN, STD = (0.48, 0.45, 0.4), (0.22, 0.23, 0.24)
OPERATIONS = {
    **EVERY_OPERATION,
    "affine": AffineConfig(p=0.5, degrees=30.0, translate=0.2, scale=(0.8, 1.2), shear=10.0),
    "rotate": 0.6,
    "grayscale": 0.5,
    "blur": BlurConfig(kernel=0.3),
}


def make(views: Any, images: Any, part: tuple[int, ...] = (0, 1), seed: int = 4) -> Any:
    """The views, and the state that the generator is left in."""
    generator = torch.Generator().manual_seed(seed)
    channels = images[0].shape[-3]
    views = Augment(views, MEAN[:channels], STD[:channels])(images, generator, part)
    return views, generator.get_state()


def check(views: Any, images: Any, world: Any) -> None:
    """Cuts images (N, C, H, W), or a list of such, into parts, and compares."""
    cropped = isinstance(images, list)
    n = len(images[0] if cropped else images) // world
    whole, after = make(views, images)
    parts = []
    for rank in range(world):
        rows = slice(rank * n, (rank + 1) * n)
        made, state = make(views, [x[rows] for x in images] if cropped else images[rows], (rank, world))
        assert torch.equal(state, after)  # the next batch agrees as well
        parts.append(made)
    for expected, *pieces in zip(whole, *parts, strict=True):
        torch.testing.assert_close(torch.cat(pieces), expected, atol=ROUNDING, rtol=0)
    for expected, again in zip(whole, make(views, images)[0], strict=True):
        assert torch.equal(again, expected)  # the same call


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("cropped", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [24, 21])
def test_parts_make_the_whole(size: int, channels: int, cropped: bool, world: int) -> None:
    bicubic = CropConfig(interpolation="bicubic")
    views = [ViewConfig(size=size, **OPERATIONS), ViewConfig(size=size, crop=bicubic)]
    images = torch.randint(0, 256, (2, 48, channels, size, size), dtype=torch.uint8)
    check(views, list(images) if cropped else images[0], world)


@pytest.mark.parametrize("key", OPERATIONS)
def test_parts_of_each_operation(key: Any) -> None:
    view = ViewConfig(size=16, **{**NO_OPERATION, key: OPERATIONS[key]})
    images = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    check([view], images, 2)
    check([view], [images], 2)
    same = images[:1].expand(12, -1, -1, -1)
    first, second = (make([view], [same], (rank, 2))[0][0] for rank in range(2))
    assert not torch.equal(first, second)  # the parts have parameters of their own


@pytest.mark.parametrize("part", [(0, 0), (2, 2), (-1, 2)])
def test_there_is_no_such_part(part: tuple[int, ...]) -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"0 <= rank < world; received \({part[0]}, {part[1]}\)"):
        make([ViewConfig(size=8)], images, part)
