"""The colours and the blur of SimCLR's and BYOL's code, against a reference that goes pixel by pixel."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torchvision.transforms.functional as F
from reference import naive_colors as naive

from ssl_zoo.augment import Augment, color_jitter, gaussian_blur
from ssl_zoo.augment.blur import kernel_side
from ssl_zoo.augment.jitter import jitter_steps
from ssl_zoo.augment.parameters import draw
from ssl_zoo.config.schema import BlurConfig, JitterConfig, ViewConfig

BRIGHTNESS = {
    "simclr": naive.simclr_brightness,
    "byol": lambda x, factor: naive.byol_brightness(x, factor - 1),
}
ORDER = torch.tensor(list(itertools.permutations(range(4))))  # (24, 4)
N = len(ORDER)
CLOSE = {"atol": 1e-5, "rtol": 0}


def jitter(operations: Any, image: Any, order: Any, values: Any) -> Any:
    """One image (C, H, W) by the reference; one channel has neither saturation nor hue."""
    x, adjust = image.tolist(), (BRIGHTNESS[operations], naive.contrast, naive.saturation, naive.hue)
    for operator in order:
        if operator < 2 or len(image) == 3:
            x = adjust[operator](x, values[operator])
    return torch.tensor(x)


@pytest.fixture(params=[1, 3])
def case(request: pytest.FixtureRequest) -> Any:
    """Images, on, factors, shift."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(N, request.param, 5, 6, generator=generator)
    images[1] = images[1].round()  # saturated colours, black and white
    images[2] = images[2, :1]  # gray
    images[3] = 0
    factors = torch.rand(N, 3, generator=generator) * 2
    return images, torch.arange(N) % 5 != 0, factors, torch.rand(N, generator=generator) - 0.5


def expected(operations: Any, case: Any) -> Any:
    images, on, factors, shift = case
    values = torch.cat((factors, shift[:, None]), dim=1).tolist()
    pairs = zip(images, on, ORDER.tolist(), values, strict=True)
    return torch.stack([jitter(operations, x, order if use else [], value) for x, use, order, value in pairs])


@pytest.mark.parametrize("operations", ["simclr", "byol"])
def test_every_order_of_the_colours(case: Any, operations: str) -> None:
    images, on, factors, shift = case
    before = images.clone()
    result = color_jitter(images, on, ORDER, factors, shift, operations)
    torch.testing.assert_close(result, expected(operations, case), **CLOSE)
    assert torch.equal(images, before)
    for step in jitter_steps(images.shape[1], on, ORDER, factors, shift, operations):
        step.runs = None  # what a step has elsewhere than on a CPU
        images = step(images)
    torch.testing.assert_close(images, result, **CLOSE)


def test_they_are_not_torchvisions(case: Any) -> None:
    images, on, factors, shift = case
    ours = color_jitter(images, on, ORDER, factors, shift)
    for operations in ("simclr", "byol"):
        apart = (color_jitter(images, on, ORDER, factors, shift, operations) - ours)[on].abs().mean()
        # One channel has but brightness, contrast and one mean.
        assert (apart > 0.02) == (images.shape[1] == 3 or operations == "byol")


@pytest.mark.parametrize("side", [12, 46])
def test_blur_with_zeros_beyond_the_borders(side: int) -> None:
    images = torch.rand(2, 2, side, 9, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.4, 2.0])
    # Theirs takes a tenth of the side; here of a larger one, so that the kernel reaches beyond both borders.
    for share in (0.25, 0.35):
        result = gaussian_blur(images, sigma, 2 * int(share * side / 2) + 1, padding="zeros")
        reference = [
            naive.blur(x, s, share * side) for x, s in zip(images.tolist(), sigma.tolist(), strict=True)
        ]
        torch.testing.assert_close(result, torch.tensor(reference), **CLOSE)
    assert (result[1] < F.gaussian_blur(images[1], [5, 5], [2.0, 2.0])).any()


def test_blur_with_zeros_goes_band_by_band() -> None:
    images = torch.rand(1, 1, 131, 131, generator=torch.Generator().manual_seed(0))
    result = gaussian_blur(images, torch.tensor([2.0]), 23, padding="zeros")
    torch.testing.assert_close(result, torch.tensor([naive.blur(images[0].tolist(), 2.0, 23)]), **CLOSE)


@pytest.mark.parametrize(("size", "side"), [(224, 23), (96, 9)])
def test_the_kernel_is_as_wide_as_theirs(size: int, side: int) -> None:
    """[0] int(height // 10 / 2) and [1] int(height / 10 / 2) on both sides of the middle."""
    assert kernel_side(0.1, size) == 2 * int(size // 10 / 2) + 1 == 2 * int(size / 10 / 2) + 1 == side


@pytest.mark.parametrize("operations", ["simclr", "byol"])
def test_views_are_made_with_them(operations: str) -> None:
    view = ViewConfig(
        size=12,
        flip=0.0,
        grayscale=0.0,
        jitter=JitterConfig(p=1.0, operations=operations),
        blur=BlurConfig(p=1.0, kernel=0.4, padding="zeros"),
    )
    images = torch.randint(0, 256, (4, 3, 12, 12), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    drawn = draw(view, images.shape, torch.Generator().manual_seed(2), cropped=True)
    (made,) = Augment([view], [0.0] * 3, [1.0] * 3)([images], torch.Generator().manual_seed(2))
    values = torch.cat((drawn.jitter.factors, drawn.jitter.shift[:, None]), dim=1).tolist()
    for i, image in enumerate(images / 255):
        x = jitter(operations, image, drawn.jitter.order[i].tolist(), values[i])
        x = torch.tensor(naive.blur(x.tolist(), drawn.blur.sigma[i].item(), 0.4 * 12))
        torch.testing.assert_close(made[i], x, **CLOSE)
