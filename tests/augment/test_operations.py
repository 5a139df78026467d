"""Each operation against the torchvision functional of the same parameter, sample by sample."""

import pytest
import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

from ssl_zoo.augment import (
    affine,
    brightness,
    contrast,
    gaussian_blur,
    grayscale,
    hue,
    saturation,
    solarize,
)
from ssl_zoo.augment.blur import kernel_side

N = 12


@pytest.fixture(params=[1, 3])
def images(request):
    generator = torch.Generator().manual_seed(request.param)
    x = torch.rand(N, request.param, 18, 13, generator=generator)
    x[1] = (x[1] * 2).round() / 2  # ties between channels, and black and white
    x[2] = x[2, :1]  # gray
    x[3] = 0
    return x


def uniform(low, high, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(9)) * (high - low) + low


def check(result, images, reference, *parameters):
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
def test_blends(images, ours, theirs):
    before = images.clone()
    factor = uniform(0, 2.5, N)
    factor[:2] = torch.tensor([0.0, 1.0])
    check(ours(images, factor), images, lambda x, f: theirs(x, f.item()), factor)
    assert torch.equal(images, before)


@pytest.mark.parametrize("reach", [0.1, 0.5])
def test_hue(images, reach):
    before = images.clone()
    shift = uniform(-reach, reach, N)
    check(hue(images, shift), images, lambda x, s: F.adjust_hue(x, s.item()), shift)
    assert torch.equal(images, before)
    assert torch.equal(hue(images, shift, out=before), hue(images, shift))


def test_hue_of_pure_colours_at_the_corners_of_the_circle():
    values = torch.tensor([0.0, 0.25, 1.0])
    colours = torch.cartesian_prod(values, values, values).T.reshape(3, 1, 27)
    shift = torch.arange(-6, 7) / 12  # whole and half sixths of the circle, both ends included
    images = colours.expand(13, 3, 1, 27)
    check(hue(images, shift), images, lambda x, s: F.adjust_hue(x, s.item()), shift)


def test_grayscale(images):
    check(grayscale(images), images, lambda x: F.rgb_to_grayscale(x, num_output_channels=len(x)))


def test_solarize(images):
    threshold = uniform(0, 1, N)
    check(solarize(images, threshold), images, lambda x, t: F.solarize(x, t.item()), threshold)
    check(solarize(images, 0.5), images, lambda x: F.solarize(x, 0.5))


@pytest.mark.parametrize("kernel_size", [3, 7, 23])
def test_gaussian_blur(images, kernel_size):
    sigma = uniform(0.1, 4, N)
    blurred = gaussian_blur(images, sigma, kernel_size)
    check(blurred, images, lambda x, s: F.gaussian_blur(x, [kernel_size] * 2, [s.item()] * 2), sigma)


@pytest.mark.parametrize("kernel_size", [4, 27])
def test_gaussian_blur_refuses_a_kernel_that_does_not_fit(images, kernel_size):
    with pytest.raises(ValueError, match=f"at most 2 \\* side - 1 = 25; received {kernel_size}"):
        gaussian_blur(images, torch.ones(N), kernel_size)


@pytest.mark.parametrize(
    ("share", "size", "side"), [(0.1, 224, 23), (0.1, 32, 3), (0.15, 32, 5), (0.01, 64, 3), (0.5, 1, 1)]
)
def test_kernel_side_is_the_nearest_odd_number(share, size, side):
    assert kernel_side(share, size) == side


def test_affine(images):
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
