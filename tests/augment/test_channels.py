"""Views of any number of channels and of 16 bits: each channel is treated as a gray image of its own."""

from __future__ import annotations

import pytest
import torch

from ssl_zoo.augment import Augment, normalize, to_float
from ssl_zoo.config.schema import (
    AffineConfig,
    BlurConfig,
    CropConfig,
    CutoutConfig,
    JitterConfig,
    SolarizeConfig,
    ViewConfig,
)
from ssl_zoo.errors import UserError

COLOURLESS = JitterConfig(p=0.8, saturation=0.0, hue=0.0)
ALL = ViewConfig(
    size=10,
    crop=CropConfig(interpolation="bicubic"),
    affine=AffineConfig(p=0.5, degrees=20.0, translate=0.1),
    rotate=0.5,
    jitter=COLOURLESS,
    grayscale=0.0,
    blur=BlurConfig(p=0.5),
    sobel=0.2,
    solarize=SolarizeConfig(p=0.5),
    cutout=CutoutConfig(p=0.5),
)
MEAN, STD = (0.1, 0.2, 0.3, 0.4, 0.5), (0.5, 0.4, 0.3, 0.2, 0.1)


def _images(dtype: torch.dtype, channels: int = 5) -> torch.Tensor:
    most = 255 if dtype == torch.uint8 else 65535
    values = torch.randint(0, most + 1, (12, channels, 14, 16), generator=torch.Generator().manual_seed(0))
    return values.to(dtype)


@pytest.mark.parametrize("operations", ["torchvision", "simclr", "byol"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_each_channel_is_what_it_would_be_alone(dtype: torch.dtype, operations: str) -> None:
    """torchvision's contrast of a gray image is about that image's mean, as that of each channel is here."""
    jitter = JitterConfig(p=0.8, saturation=0.0, hue=0.0, operations=operations)  # type: ignore[arg-type]
    view = ViewConfig(**{**{k: getattr(ALL, k) for k in ALL.__dataclass_fields__}, "jitter": jitter})
    images = _images(dtype)
    together = Augment([view, view], MEAN, STD)(images, torch.Generator().manual_seed(3))
    for channel in range(5):
        one = Augment([view, view], MEAN[channel : channel + 1], STD[channel : channel + 1])
        alone = one(images[:, channel : channel + 1], torch.Generator().manual_seed(3))
        for view_together, view_alone in zip(together, alone, strict=True):
            torch.testing.assert_close(view_together[:, channel], view_alone[:, 0], atol=2e-5, rtol=1e-5)


def test_sixteen_bits_reach_the_network() -> None:
    """Neighbouring values of 16 bits, which share their upper byte, stay apart."""
    images = torch.tensor([[[[512, 513], [514, 515]]]]).to(torch.uint16)
    whole = ViewConfig(
        size=2,
        crop=CropConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0)),
        flip=0.0,
        jitter=JitterConfig(p=0.0),
        grayscale=0.0,
        blur=BlurConfig(p=0.0),
    )
    [view, _] = Augment([whole, whole], (0.0,), (1.0,))(images, torch.Generator().manual_seed(0))
    expected = torch.tensor([[512.0, 513.0], [514.0, 515.0]]) / 65535
    torch.testing.assert_close(view[0, 0], expected, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(normalize(images, (0.1,), (0.2,))[0, 0], (expected - 0.1) / 0.2)
    torch.testing.assert_close(to_float(images)[0, 0], expected, atol=1e-8, rtol=1e-6)


def test_values_of_8_bits_in_16_give_the_same_views() -> None:
    images = _images(torch.uint8)
    deep = (images.int() * 257).to(torch.uint16)
    augment = Augment([ALL, ALL], MEAN, STD)
    for shallow, other in zip(
        augment(images, torch.Generator().manual_seed(1)),
        augment(deep, torch.Generator().manual_seed(1)),
        strict=True,
    ):
        torch.testing.assert_close(shallow, other, atol=2e-5, rtol=1e-5)


def test_what_needs_colours_is_refused_by_name() -> None:
    for channels in (2, 4, 12):
        with pytest.raises(
            UserError, match=f"grayscale, jitter.hue, jitter.saturation .* of {channels} channels"
        ):
            Augment([ViewConfig(size=8)] * 2, (0.5,) * channels, (0.5,) * channels)
    Augment([ViewConfig(size=8)] * 2, (0.5,), (0.5,))  # gray stays gray by them
