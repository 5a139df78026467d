"""sample_cutouts against torchvision's RandomErasing.get_params, in distribution; cutout against F.erase."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.transforms.functional as F
from scipy import stats
from torchvision.transforms import RandomErasing

from ssl_zoo.augment import cutout, sample_cutouts


def seeded(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def features(boxes: Any, height: Any, width: Any) -> Any:
    top, left, h, w = boxes.double().unbind(1)
    return {
        "area": h * w,
        "log ratio": (w / h).log(),
        "top": (top + 0.5) / (height - h + 1),
        "left": (left + 0.5) / (width - w + 1),
    }


@pytest.mark.parametrize(("height", "width"), [(32, 32), (120, 70)])
def test_same_distribution_as_torchvision(height: int, width: int) -> None:
    n, scale, ratio = 4000, (0.02, 0.2), (0.4, 2.0)  # every box fits into 32 x 32: nothing is drawn again
    ours = features(sample_cutouts(n, height, width, scale, ratio, seeded()), height, width)
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    upright = [1 / ratio[1], 1 / ratio[0]]  # torchvision's ratio is height / width
    theirs = [RandomErasing.get_params(image, scale, upright, [0.0])[:4] for _ in range(n)]
    theirs = features(torch.tensor(theirs), height, width)
    for name in ours:
        if (height, width) == (32, 32) or name not in ("top", "left"):
            assert stats.ks_2samp(ours[name].numpy(), theirs[name].numpy()).pvalue > 1e-4, name
    correlation = torch.corrcoef(torch.stack(list(ours.values()))) - torch.eye(4)
    assert correlation.abs().max() < 0.08


def test_a_box_that_does_not_fit_is_cut_to_the_side() -> None:
    boxes = sample_cutouts(50, 10, 20, (1.0, 1.0), (8.0, 8.0), seeded())
    assert boxes[:, 2:].tolist() == [[5, 20]] * 50  # sqrt(200 / 8) high, and sqrt(200 * 8) = 40 wide
    assert (boxes[:, 1] == 0).all()
    assert set(boxes[:, 0].tolist()) == set(range(6))  # all places, the last included


def test_boxes_are_whole_pixels_inside_the_image() -> None:
    boxes = sample_cutouts(3000, 7, 9, (0.0, 1.0), (0.1, 10.0), seeded())
    top, left, h, w = boxes.unbind(1)
    assert boxes.dtype == torch.int64
    assert (boxes >= 0).all()
    assert (top + h).max() == 7
    assert (left + w).max() == 9
    assert torch.equal(boxes, sample_cutouts(3000, 7, 9, (0.0, 1.0), (0.1, 10.0), seeded()))
    assert sample_cutouts(5, 7, 9, (0.0, 0.0), (1.0, 1.0), seeded())[:, 2:].tolist() == [[0, 0]] * 5


@pytest.mark.parametrize("channels", [1, 3])
def test_cutout_sets_the_box_and_nothing_else(channels: int) -> None:
    images = torch.rand(40, channels, 12, 15, generator=seeded())
    boxes = sample_cutouts(40, 12, 15, (0.0, 0.9), (0.2, 5.0), seeded())
    boxes[:3] = torch.tensor([[0, 0, 12, 15], [3, 4, 0, 5], [11, 14, 1, 1]])
    fill = torch.tensor([0.2, 0.5, 0.7][:channels])
    value = fill.view(-1, 1, 1)
    expected = torch.stack([F.erase(x, *box, value) for x, box in zip(images, boxes.tolist(), strict=True)])
    before = images.clone()
    assert torch.equal(cutout(images, boxes, fill), expected)
    assert torch.equal(images, before)
    cutout(images, boxes, fill, out=images)
    assert torch.equal(images, expected)
