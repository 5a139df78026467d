"""sample_boxes against torchvision's RandomResizedCrop.get_params, in distribution and where it is exact."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from ssl_zoo.augment import sample_boxes

RATIO = (3 / 4, 4 / 3)


def moments(values: Any) -> Any:
    """Mean and standard deviation of a sample, and the standard errors of both."""
    n, mean, std = len(values), values.mean(), values.std()
    fourth = ((values - mean) ** 4).mean()
    return torch.stack((mean, std)), torch.stack((std**2 / n, (fourth - std**4) / n / (4 * std**2))).sqrt()


def features(boxes: Any, height: Any, width: Any) -> Any:
    """Area, aspect ratio and relative position of boxes (n, 4), as a dict of (n,)."""
    top, left, h, w = boxes.double().unbind(1)
    return {
        "area": h * w / (height * width),
        "log ratio": (w / h).log(),
        "top": (top + 0.5) / (height - h + 1),
        "left": (left + 0.5) / (width - w + 1),
    }


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(32, 32, (0.2, 1.0)), (224, 160, (0.08, 1.0)), (20, 60, (0.2, 0.5))]
)
def test_same_distribution_as_torchvision(height: int, width: int, scale: tuple[float, ...]) -> None:
    n = 3000
    ours = sample_boxes(n, height, width, scale, RATIO, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(RATIO)) for _ in range(n)])
    ours, theirs = features(ours, height, width), features(theirs, height, width)
    for name in ours:
        a, a_error = moments(ours[name])
        b, b_error = moments(theirs[name])
        assert ((a - b).abs() <= 4.5 * (a_error**2 + b_error**2).sqrt()).all(), (name, a, b)


@pytest.mark.parametrize(("height", "width"), [(10, 200), (200, 10)])
def test_falls_back_to_the_central_box(height: int, width: int) -> None:
    boxes = sample_boxes(5, height, width, (0.95, 1.0), RATIO, torch.Generator())
    expected = RandomResizedCrop.get_params(torch.empty(1, height, width), [0.95, 1.0], list(RATIO))
    assert boxes.tolist() == [list(expected)] * 5


def test_the_draws_are_independent() -> None:
    n = 5000
    boxes = sample_boxes(n, 64, 64, (0.2, 0.5), RATIO, torch.Generator().manual_seed(2))
    values = torch.stack(list(features(boxes, 64, 64).values()))
    values[1].abs_()  # the ratio is as far from 1 for small areas as for large ones
    correlation = torch.corrcoef(values) - torch.eye(4)
    assert correlation.abs().max() < 4.5 / math.sqrt(n)


def test_boxes_are_whole_pixels_inside_the_image() -> None:
    boxes = sample_boxes(2000, 7, 9, (0.01, 1.0), (0.2, 5.0), torch.Generator().manual_seed(1))
    top, left, h, w = boxes.unbind(1)
    assert boxes.dtype == torch.int64
    assert (h >= 1).all()
    assert (w >= 1).all()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= 7).all()
    assert (left + w <= 9).all()
    assert (top + h).max() == 7  # the last row and column are reached
    assert (left + w).max() == 9


def test_the_generator_decides() -> None:
    first, second, other = (
        sample_boxes(8, 32, 32, (0.2, 1.0), RATIO, torch.Generator().manual_seed(s)) for s in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert len({tuple(box) for box in first.tolist()}) > 1


def test_one_box_for_a_worker() -> None:
    box = sample_boxes(1, 480, 640, (0.2, 1.0), RATIO, torch.Generator().manual_seed(0))
    assert box.shape == (1, 4)
    assert 0.19 < math.prod(box[0, 2:].tolist()) / (480 * 640) <= 1
