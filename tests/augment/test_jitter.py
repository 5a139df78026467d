"""color_jitter against torchvision's functionals applied one by one in the same order."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torchvision.transforms.functional as F

from ssl_zoo.augment import color_jitter
from ssl_zoo.augment.jitter import jitter_steps

ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
ORDER = torch.tensor(list(itertools.permutations(range(4))) * 2)  # (48, 4), all orders twice
N = len(ORDER)


@pytest.fixture(params=[1, 3])
def case(request: pytest.FixtureRequest) -> Any:
    """Images, on, factors, shift."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(N, request.param, 9, 11, generator=generator)
    factors = torch.rand(N, 3, generator=generator) * 2
    shift = torch.rand(N, generator=generator) - 0.5
    return images, torch.arange(N) % 5 != 0, factors, shift


def reference(images: Any, on: Any, factors: Any, shift: Any) -> Any:
    values = torch.cat((factors, torch.zeros(N, 1) if shift is None else shift[:, None]), dim=1).tolist()
    expected = []
    for x, use, order, value in zip(images, on, ORDER.tolist(), values, strict=True):
        for operator in order if use else []:
            x = ADJUST[operator](x, value[operator])
        expected.append(x)
    return torch.stack(expected)


@pytest.mark.parametrize("with_hue", [True, False])
def test_every_order(case: Any, with_hue: bool) -> None:
    images, on, factors, shift = case
    before = images.clone()
    shift = shift if with_hue else None
    result = color_jitter(images, on, ORDER, factors, shift)
    torch.testing.assert_close(result, reference(images, on, factors, shift), atol=1e-5, rtol=0)
    assert torch.equal(images, before)


@pytest.mark.parametrize("with_hue", [True, False])
def test_the_form_for_accelerators_is_the_same(case: Any, with_hue: bool) -> None:
    images, on, factors, shift = case
    shift = shift if with_hue else None
    result = images
    for step in jitter_steps(images.shape[1], on, ORDER, factors, shift):
        step.runs = None  # what a step has elsewhere than on a CPU
        result = step(result)
    torch.testing.assert_close(result, reference(images, on, factors, shift), atol=1e-5, rtol=0)


def test_in_parts(case: Any) -> None:
    images, on, factors, shift = case
    expected = color_jitter(images, on, ORDER, factors, shift)
    steps = jitter_steps(images.shape[1], on, ORDER, factors, shift)
    for start in range(0, N, 7):
        part = images[start : start + 7].clone()
        for step in steps:
            part = step(part, start)
        torch.testing.assert_close(part, expected[start : start + 7], atol=1e-5, rtol=0)
