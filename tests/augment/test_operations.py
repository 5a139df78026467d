"""Each operation against the torchvision functional of the same parameter, sample by sample."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from scipy import ndimage
from torchvision.transforms import InterpolationMode

from ssl_zoo.augment import (
    affine,
    brightness,
    contrast,
    gaussian_blur,
    grayscale,
    hue,
    rotate,
    saturation,
    sobel,
    solarize,
)
from ssl_zoo.augment.blur import kernel_side

N = 12


@pytest.fixture(params=[1, 3])
def images(request: pytest.FixtureRequest) -> Any:
    generator = torch.Generator().manual_seed(request.param)
    x = torch.rand(N, request.param, 18, 13, generator=generator)
    x[1] = (x[1] * 2).round() / 2  # ties between channels, and black and white
    x[2] = x[2, :1]  # gray
    x[3] = 0
    return x


def uniform(low: Any, high: Any, *shape: Any) -> Any:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(9)) * (high - low) + low


def check(result: Any, images: Any, reference: Any, *parameters: Any) -> None:
    expected = [reference(x, *(p[i] for p in parameters)) for i, x in enumerate(images)]
    torch.testing.assert_close(result, torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (brightness, F.adjust_brightness),
        (contrast, F.adjust_contrast),
        (saturation, F.adjust_saturation),
    ],
)
def test_blends(images: Any, ours: Any, theirs: Any) -> None:
    before = images.clone()
    factor = uniform(0, 2.5, N)
    factor[:2] = torch.tensor([0.0, 1.0])
    check(ours(images, factor), images, lambda x, f: theirs(x, f.item()), factor)
    assert torch.equal(images, before)


@pytest.mark.parametrize("reach", [0.1, 0.5])
def test_hue(images: Any, reach: float) -> None:
    before = images.clone()
    shift = uniform(-reach, reach, N)
    check(hue(images, shift), images, lambda x, s: F.adjust_hue(x, s.item()), shift)
    assert torch.equal(images, before)


def test_hue_of_pure_colours_at_the_corners_of_the_circle() -> None:
    values = torch.tensor([0.0, 0.25, 1.0])
    colours = torch.cartesian_prod(values, values, values).T.reshape(3, 1, 27)
    shift = torch.arange(-6, 7) / 12  # whole and half sixths of the circle, both ends included
    images = colours.expand(13, 3, 1, 27)
    check(hue(images, shift), images, lambda x, s: F.adjust_hue(x, s.item()), shift)


def test_grayscale(images: Any) -> None:
    check(grayscale(images), images, lambda x: F.rgb_to_grayscale(x, num_output_channels=len(x)))


def test_solarize(images: Any) -> None:
    threshold = uniform(0, 1, N)
    check(solarize(images, threshold), images, lambda x, t: F.solarize(x, t.item()), threshold)
    check(solarize(images, 0.5), images, lambda x: F.solarize(x, 0.5))


def naive_sobel(image: Any) -> Any:
    """One pixel and one kernel value at a time, borders replicated."""
    height, width = image.shape[1:]
    kernel = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
    result = torch.zeros_like(image)
    for c, y, x in itertools.product(*map(range, image.shape)):
        gx = gy = 0.0
        for i, j in itertools.product(range(3), range(3)):
            value = image[c, min(max(y + i - 1, 0), height - 1), min(max(x + j - 1, 0), width - 1)].item()
            gx += kernel[i][j] * value / 8
            gy += kernel[j][i] * value / 8
        result[c, y, x] = math.sqrt(gx * gx + gy * gy)
    return result


def scipy_sobel(image: Any) -> Any:
    planes = [[ndimage.sobel(x, axis, mode="nearest") / 8 for axis in (1, 0)] for x in image.double().numpy()]
    return torch.tensor(np.array([np.hypot(gx, gy) for gx, gy in planes]), dtype=torch.float32)


def test_sobel(images: Any) -> None:
    before = images.clone()
    result = sobel(images)
    check(result[:2], images[:2], naive_sobel)
    check(result, images, scipy_sobel)
    assert torch.equal(images, before)
    assert torch.equal(sobel(images, out=before), result)
    assert (sobel(torch.full((1, 1, 1, 1), 0.7)) == 0).all()
    checks = (torch.arange(8 * 8).view(1, 1, 8, 8) % 3 == 0).float()
    assert 0 < sobel(checks).max() <= 1


def test_rotate(images: Any) -> None:
    images = images[..., :13, :]
    before = images.clone()
    turns = torch.arange(N) % 4
    result = rotate(images, turns)
    assert torch.equal(result, torch.stack([x.rot90(k, (1, 2)) for x, k in zip(images, turns, strict=True)]))
    check(result, images, lambda x, k: F.rotate(x, 90.0 * k.item()), turns)
    assert torch.equal(images, before)


def test_rotate_refuses_what_is_not_square(images: Any) -> None:
    with pytest.raises(ValueError, match=r"square.*received \(12, ., 18, 13\)"):
        rotate(images, torch.ones(N, dtype=torch.int64))


@pytest.mark.parametrize("kernel_size", [3, 7, 23])
def test_gaussian_blur(images: Any, kernel_size: int) -> None:
    sigma = uniform(0.1, 4, N)
    blurred = gaussian_blur(images, sigma, kernel_size)
    check(blurred, images, lambda x, s: F.gaussian_blur(x, [kernel_size] * 2, [s.item()] * 2), sigma)


def test_gaussian_blur_of_large_images_goes_band_by_band() -> None:
    images = torch.rand(3, 2, 200, 131, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.1, 0.8, 2.0])  # with 0.8 a weight is denormal
    blurred = gaussian_blur(images, sigma, 23)
    check(blurred, images, lambda x, s: F.gaussian_blur(x, [23, 23], [s.item()] * 2), sigma)
    torch.testing.assert_close(gaussian_blur(images[1:2], sigma[1:2], 23), blurred[1:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel_size", [4, 27])
def test_gaussian_blur_refuses_a_kernel_that_does_not_fit(images: Any, kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"at most 2 \\* side - 1 = 25; received {kernel_size}"):
        gaussian_blur(images, torch.ones(N), kernel_size)


@pytest.mark.parametrize(
    ("share", "size", "side"), [(0.1, 224, 23), (0.1, 32, 3), (0.15, 32, 5), (0.01, 64, 3), (0.5, 1, 1)]
)
def test_kernel_side_is_the_nearest_odd_number(share: float, size: int, side: int) -> None:
    assert kernel_side(share, size) == side


def test_affine(images: Any) -> None:
    angle, scale = uniform(-180, 180, N), uniform(0.5, 2, N)
    translate, shear = uniform(-5, 5, N, 2).round(), uniform(-40, 40, N, 2)
    check(
        affine(images, angle, translate, scale, shear),
        images,
        lambda x, a, t, c, h: F.affine(
            x, a.item(), t.int().tolist(), c.item(), h.tolist(), InterpolationMode.BILINEAR
        ),
        angle,
        translate,
        scale,
        shear,
    )
