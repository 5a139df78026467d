"""Views in distribution against lightly's transforms with equal settings.

lightly works on 8-bit PIL images one at a time: each of its operations cuts off the fraction of a value, so
that it is darker by up to half a grey level per operation, and grainier. That is what ROUNDING allows for,
beside the random error of both samples.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from lightly.transforms import (  # type: ignore[attr-defined]
    BYOLTransform,
    DINOTransform,
    SimCLRTransform,
    SimSiamTransform,
)
from PIL import Image

from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import BlurConfig, CropConfig, JitterConfig, SolarizeConfig, ViewConfig
from ssl_zoo.standalone.lightly_views import read_transform

pytestmark = pytest.mark.slow

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY = 1 / 255 / 0.224  # a grey level of 8 bits, in units of a normalised value
ROUNDING = torch.tensor([2.5] * 3 + [0.5] * 3 + [0.25] * 3 + [0.5] * 3) * GREY  # of `statistics`
SIGMAS = 4.5
WIDE = 0.7  # kernel: PIL's blur is not cut off


def scene(i: Any) -> Any:
    """A smooth RGB image (3, 48, 48) of waves, colourful and of some contrast."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
    waves = [torch.sin(6 * (x * (i + 1) / 2 + k * y) + 2 * k + i) for k in range(3)]
    level = torch.tensor([0.6, 0.45, 0.35]).roll(i).view(3, 1, 1)
    return (255 * (level + 0.3 * torch.stack(waves)).clamp(0, 1)).to(torch.uint8)


def statistics(views: Any) -> Any:
    """Of each view (n, 3, 32, 32): means and deviations per channel, contrast of edges, and of channels."""
    edges = (views[..., 1:] - views[..., :-1]).abs().mean(dim=(2, 3))
    pixels = views * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    colour = (pixels - pixels.roll(1, dims=1)).abs().mean(dim=(2, 3)) / 0.224  # 0 in a gray view
    return torch.cat((views.mean(dim=(2, 3)), views.std(dim=(2, 3)), edges, colour), dim=1)  # (n, 12)


def moments(values: Any) -> Any:
    """Means and standard deviations (2, d) of values (n, d), and the standard errors of both."""
    n, mean, std = len(values), values.mean(dim=0), values.std(dim=0)
    fourth = ((values - mean) ** 4).mean(dim=0)
    error = torch.stack((std**2 / n, (fourth - std**4) / (4 * n * std**2)))
    return torch.stack((mean, std)), error.sqrt()


def crop(low: Any) -> Any:
    return CropConfig(scale=(low, 1.0))


@pytest.mark.parametrize(
    ("transform", "views"),
    [
        (
            SimSiamTransform(input_size=32),
            [ViewConfig(size=32, crop=crop(0.2), blur=BlurConfig(kernel=WIDE))] * 2,
        ),
        (
            SimCLRTransform(input_size=32),
            [
                ViewConfig(
                    size=32,
                    crop=crop(0.08),
                    jitter=JitterConfig(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2),
                    blur=BlurConfig(kernel=WIDE),
                )
            ]
            * 2,
        ),
        (
            BYOLTransform(),
            [
                ViewConfig(
                    size=32,
                    crop=crop(0.08),
                    jitter=JitterConfig(saturation=0.2),
                    blur=BlurConfig(p=blur, kernel=WIDE),
                    solarize=SolarizeConfig(p=solarize),
                )
                for blur, solarize in ((1.0, 0.0), (0.1, 0.2))
            ],
        ),
    ],
    ids=["simsiam", "simclr", "byol"],
)
def test_same_distribution_as_lightly(transform: Any, views: Any) -> None:
    if isinstance(transform, BYOLTransform):  # takes no size
        for view in transform.transforms:
            view.transform.transforms[0].size = (32, 32)
    compare(transform, views)
    for view, read in zip(views, read_transform(transform).views, strict=True):
        kernel = dataclasses.replace(
            read.blur, kernel=view.blur.kernel
        )  # read: 17 pixels, which reach as far
        assert dataclasses.replace(read, blur=kernel if read.blur.p else view.blur) == view


def test_views_that_were_read_back_have_the_same_distribution() -> None:
    """DINO's: bicubic, and as all of lightly's by name."""
    transform = DINOTransform(global_crop_size=32, n_local_views=0)
    compare(transform, read_transform(transform).views)


def compare(transform: Any, views: Any) -> None:
    """Compares views of a lightly transform with ours."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (lightly's blur draws from it)
    augment = Augment(views, MEAN, STD)
    generator = torch.Generator().manual_seed(0)
    for i in range(2):
        image = scene(i)
        theirs = [transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for _ in range(150)]
        ours = augment(image.expand(1500, -1, -1, -1), generator)
        for v in range(2):
            a, a_error = moments(statistics(ours[v]))
            b, b_error = moments(statistics(torch.stack([views[v] for views in theirs])))
            allowed = SIGMAS * (a_error**2 + b_error**2).sqrt() + ROUNDING
            assert ((a - b).abs() <= allowed).all(), (i, v, a - b, allowed)
