"""The form for accelerators: all images pass all operations, without waiting for the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.methods import ROUNDING, VIEW

import ssl_zoo.augment.views as views_module
from ssl_zoo.augment import Augment
from ssl_zoo.augment.per_image import Step

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def batch(cropped: Any) -> Any:
    images = torch.randint(0, 256, (24, 3, 24, 24), dtype=torch.uint8)
    return [images] * 2 if cropped else images


@pytest.mark.parametrize("cropped", [False, True])
def test_it_makes_the_same_views(cropped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    images = batch(cropped)
    augment = Augment([VIEW, VIEW], MEAN, STD)
    expected = augment(images, torch.Generator().manual_seed(0))
    view_steps = views_module.view_steps

    def steps_for_accelerators(*arguments: Any) -> Any:
        first, steps = view_steps(*arguments)
        for step in steps:
            assert isinstance(step, Step)
            step.runs = None
        return first, steps

    monkeypatch.setattr(views_module, "view_steps", steps_for_accelerators)
    result = augment(images, torch.Generator().manual_seed(0))
    for a, b in zip(result, expected, strict=True):
        assert ((a - b).abs() > 1e-4).double().mean() < 1e-3  # rounding beside the solarization threshold
    halves = []
    for rank in range(2):
        half = [x.chunk(2)[rank] for x in images] if cropped else images.chunk(2)[rank]
        halves.append(augment(half, torch.Generator().manual_seed(0), (rank, 2)))
    for whole, *parts in zip(result, *halves, strict=True):
        torch.testing.assert_close(torch.cat(parts), whole, atol=ROUNDING, rtol=0)
