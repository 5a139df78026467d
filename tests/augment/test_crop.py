"""resized_crop against torchvision's F.resized_crop(antialias=True), sample by sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

from ssl_zoo.augment import normalize, resized_crop, sample_boxes, to_float


def reference(images: Any, boxes: Any, flip: Any, size: Any, interpolation: Any) -> Any:
    crops = [
        F.resized_crop(x, *box, [size, size], InterpolationMode(interpolation), antialias=True)
        for x, box in zip(images, boxes.int().tolist(), strict=True)
    ]
    return torch.stack([F.hflip(c) if f else c for c, f in zip(crops, flip, strict=True)]).clamp(0, 1)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (8, 8, 24), (31, 20, 16), (96, 120, 40), (40, 64, 64)]
)
def test_equals_torchvision(interpolation: str, channels: int, height: int, width: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, channels, height, width), dtype=torch.uint8, generator=generator)
    boxes = sample_boxes(12, height, width, (0.02, 1.0), (0.4, 2.5), generator)
    boxes[0] = torch.tensor([0, 0, height, width])
    boxes[1] = torch.tensor([height - 1, width - 1, 1, 1])
    flip = torch.rand(12, generator=generator) < 0.5
    before = images.clone()
    large = height * width > 2**13 and interpolation == "bilinear"
    for flips in (flip, None):
        expected = reference(
            images / 255, boxes, [False] * 12 if flips is None else flips, size, interpolation
        )
        for given, rows in ((images, boxes), (images / 255, boxes), (images, boxes.float())):
            result = resized_crop(given, rows, flips, size, interpolation)
            assert result.dtype == torch.float32
            atol = 1.01 / 255 if large and given.dtype == torch.uint8 else 1e-5  # resampled in 8 bits
            torch.testing.assert_close(result, expected, atol=atol, rtol=0)
    assert torch.equal(images, before)


def test_reads_images_in_any_memory_format() -> None:
    images = torch.randint(0, 256, (4, 3, 12, 12), dtype=torch.uint8)
    boxes = torch.tensor([[1, 2, 8, 9]] * 4)
    expected = resized_crop(images, boxes, None, 6)
    assert torch.equal(resized_crop(images.to(memory_format=torch.channels_last), boxes, None, 6), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalize_and_to_float(channels: int) -> None:
    images = torch.randint(0, 256, (5, channels, 6, 7), dtype=torch.uint8)
    mean, std = (0.2, 0.5, 0.7)[:channels], (0.1, 0.3, 0.25)[:channels]
    expected = F.normalize(images / 255, list(mean), list(std))
    torch.testing.assert_close(to_float(images), images / 255, atol=1e-7, rtol=0)
    torch.testing.assert_close(normalize(images, mean, std), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(normalize(images / 255, mean, std), expected, atol=1e-5, rtol=0)


def test_normalize_has_a_gradient_after_a_first_use_in_inference_mode() -> None:
    images = torch.rand(2, 1, 3, 3, requires_grad=True)
    with torch.inference_mode():
        normalize(images.detach(), [0.123], [0.25])
    normalize(images, [0.123], [0.25]).sum().backward()
    torch.testing.assert_close(images.grad, torch.full_like(images, 4.0))
