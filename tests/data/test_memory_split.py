"""Splits in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from ssl_zoo.data import MemorySplit
from ssl_zoo.data.memory_split import to_channels

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (10, 3, 12, 12), dtype=torch.uint8, generator=GENERATOR)


def test_select_keeps_images_labels_and_names_together() -> None:
    split = MemorySplit(IMAGES, torch.arange(10), tuple("abcdefghij"))
    part = split.select([7, 2])
    assert torch.equal(part.images, torch.stack([IMAGES[7], IMAGES[2]]))
    assert part.labels.tolist() == [7, 2]
    assert part.names == ("h", "c")
    assert (len(part), part.channels) == (2, 3)


def test_plain_batches_at_the_stored_size_are_the_images() -> None:
    batches = list(MemorySplit(IMAGES).plain_batches(12, 4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat(batches), IMAGES)


@pytest.mark.parametrize(("width", "size"), [(12, 7), (12, 30), (16, 12), (20, 8)])
def test_plain_batches_are_resized_as_pillow_does_it(width: int, size: int) -> None:
    """With antialias: within the rounding of two implementations."""
    images = torch.randint(0, 256, (10, 3, 12, width), dtype=torch.uint8, generator=GENERATOR)
    (plain,) = MemorySplit(images).plain_batches(size, 10)
    assert (plain.dtype, plain.shape) == (torch.uint8, (10, 3, size, size))
    for row, image in zip(plain, images, strict=True):
        expected = F.pil_to_tensor(F.center_crop(F.resize(F.to_pil_image(image), size), size))
        assert (row.int() - expected.int()).abs().max() <= 1


def test_gray_is_pillows_luma() -> None:
    gray = to_channels(IMAGES, 1)
    for row, image in zip(gray, IMAGES, strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(row[0].numpy(), expected)


def test_colour_of_gray_is_three_times_the_same() -> None:
    assert torch.equal(to_channels(IMAGES[:, :1], 3), torch.cat([IMAGES[:, :1]] * 3, dim=1))
    assert to_channels(IMAGES, 3) is IMAGES
