"""Augment: the whole chain against torchvision with the same parameters, and its contract."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from helpers.methods import EVERY_OPERATION, NO_OPERATION
from scipy import ndimage
from torchvision.transforms import InterpolationMode

import ssl_zoo.augment.views as views_module
from ssl_zoo.augment import Augment
from ssl_zoo.augment.noise import hashed_normals
from ssl_zoo.augment.parameters import draw
from ssl_zoo.config.schema import (
    AffineConfig,
    BlurConfig,
    CropConfig,
    CutoutConfig,
    JitterConfig,
    NoiseConfig,
    SolarizeConfig,
    ViewConfig,
)
from ssl_zoo.errors import UserError

MEAN, STD = (0.48, 0.45, 0.4), (0.22, 0.23, 0.24)
ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
BYOL = (
    ViewConfig(size=16, crop=CropConfig(scale=(0.08, 1.0), interpolation="bicubic"), blur=BlurConfig(p=1.0)),
    ViewConfig(size=20, blur=BlurConfig(p=0.1), solarize=SolarizeConfig(p=0.5)),
)
SETTINGS: dict[str, Any] = {
    "affine": AffineConfig(p=0.7, degrees=30.0, translate=0.2, scale=(0.8, 1.2), shear=10.0),
    "rotate": 0.7,
    "jitter": JitterConfig(p=0.8, strength=1.5),
    "grayscale": 0.3,
    "blur": BlurConfig(p=0.5, kernel=0.3),
    "noise": NoiseConfig(p=0.5, std=0.2),
    "sobel": 0.3,
    "solarize": SolarizeConfig(p=0.4, threshold=0.3),
    "cutout": CutoutConfig(p=0.6),
}
EVERYTHING = ViewConfig(
    size=24, **{**EVERY_OPERATION, **SETTINGS}
)  # `chain` must follow for a further operation
OFF = ViewConfig(size=16, **NO_OPERATION)


def batch(n: int = 40, channels: int = 3, height: int = 20, width: int = 24) -> Any:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator)


def seeded(seed: int = 5) -> Any:
    return torch.Generator().manual_seed(seed)


def chain(image: Any, i: Any, view: Any, p: Any, kernel_size: Any) -> Any:
    """One image through torchvision, with the parameters of row i."""
    x = image / 255
    if p.boxes is not None:
        mode = InterpolationMode(view.crop.interpolation)
        x = F.resized_crop(x, *p.boxes[i].tolist(), [view.size] * 2, mode, antialias=True).clamp(0, 1)
    if p.flip[i]:
        x = F.hflip(x)
    if p.affine is not None and p.affine.on[i]:
        _, angle, translate, scale, shear = (v[i].tolist() for v in p.affine)
        x = F.affine(x, angle, [int(t) for t in translate], scale, shear, InterpolationMode.BILINEAR)
    if p.rotate is not None:
        x = x.rot90(p.rotate[i].item(), (1, 2))
    if p.jitter.on[i]:
        values = [*p.jitter.factors[i].tolist(), p.jitter.shift[i].item()]
        for operator in p.jitter.order[i].tolist():
            x = ADJUST[operator](x, values[operator])
    if p.gray[i]:
        x = F.rgb_to_grayscale(x, num_output_channels=len(x))
    if p.blur.on[i]:
        x = F.gaussian_blur(x, [kernel_size] * 2, [p.blur.sigma[i].item()] * 2)
    if p.noise is not None and p.noise.on[i]:
        field = hashed_normals(p.noise.seed[i : i + 1], x.numel()).view(x.shape)
        x = (x + view.noise.std * field).clamp(0, 1)
    if p.sobel is not None and p.sobel[i]:
        edges = [[ndimage.sobel(plane, axis, mode="nearest") / 8 for axis in (0, 1)] for plane in x.numpy()]
        x = torch.from_numpy(np.array([np.hypot(*pair) for pair in edges]))
    if p.solarize is not None and p.solarize[i]:
        x = F.solarize(x, view.solarize.threshold)
    if p.cutout is not None and p.cutout.on[i]:
        x = F.erase(x, *p.cutout.boxes[i].tolist(), torch.tensor(MEAN[: len(x)]).view(-1, 1, 1))
    return F.normalize(x, list(MEAN[: len(x)]), list(STD[: len(x)]))


def close(result: Any, expected: Any, view: Any) -> None:
    """Equal, but for the few values beside the solarization threshold that rounding moves across it."""
    wrong = ((result - expected).abs() > 1e-4).double().mean()
    assert wrong <= (1e-4 if view.solarize.p > 0 else 0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cropped", [False, True])
def test_the_whole_chain_equals_torchvision(
    channels: int, cropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_module, "CACHED", 7 * channels * 24**2)  # several parts
    images = batch(channels=channels, height=24 if cropped else 20)
    augment = Augment([EVERYTHING], MEAN[:channels], STD[:channels])
    result = augment([images] if cropped else images, seeded())[0]
    p = draw(EVERYTHING, images.shape, seeded(), cropped=cropped)
    expected = torch.stack([chain(x, i, EVERYTHING, p, 7) for i, x in enumerate(images)])
    close(result, expected, EVERYTHING)


def test_each_view_has_its_own_settings_and_draws() -> None:
    images = batch()
    first, second = Augment(BYOL, MEAN, STD)(images, seeded())
    generator = seeded()
    for result, view in zip((first, second), BYOL, strict=True):
        p = draw(view, images.shape, generator)
        close(result, torch.stack([chain(x, i, view, p, 3) for i, x in enumerate(images)]), view)
    a, b = Augment([BYOL[0]] * 2, MEAN, STD)(images, seeded())
    assert not torch.isclose(a, b).all(dim=(1, 2, 3)).any()


def test_views_of_equal_settings_are_drawn_together_and_differ() -> None:
    images = batch()
    views = Augment([EVERYTHING, EVERYTHING, BYOL[0]], MEAN, STD)(images, seeded())
    generator = seeded()
    p = draw(EVERYTHING, torch.Size((80, *images.shape[1:])), generator)
    expected = torch.stack([chain(images[i % 40], i, EVERYTHING, p, 7) for i in range(80)])
    close(torch.cat(views[:2]), expected, EVERYTHING)
    p = draw(BYOL[0], images.shape, generator)
    close(views[2], torch.stack([chain(x, i, BYOL[0], p, 3) for i, x in enumerate(images)]), BYOL[0])


def test_large_images_equal_torchvision_to_a_few_grey_levels() -> None:
    images = batch(n=6, height=140, width=150)
    view = ViewConfig(size=136, jitter=JitterConfig(p=1.0), blur=BlurConfig(p=1.0))
    result = Augment([view], MEAN, STD)(images, seeded())[0]
    p = draw(view, images.shape, seeded())
    expected = torch.stack([chain(x, i, view, p, 13) for i, x in enumerate(images)])
    assert (result - expected).abs().mean() < 0.5 / 255 / 0.22  # their crop is rounded to 8 bits


def test_without_operations_only_the_crop_is_left() -> None:
    images = batch(height=16, width=16)
    view = ViewConfig(**{**vars(OFF), "crop": CropConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0))})
    result = Augment([view], MEAN, STD)(images, seeded())[0]
    torch.testing.assert_close(result, F.normalize(images / 255, MEAN, STD), atol=1e-5, rtol=0)
    assert torch.equal(Augment([OFF], MEAN, STD)([images], seeded())[0], result)  # without a crop


@pytest.mark.parametrize(
    ("key", "certain"),
    [
        ("rotate", 1.0),
        ("noise", NoiseConfig(p=1.0)),
        ("sobel", 1.0),
        ("cutout", CutoutConfig(p=1.0, scale=(0.1, 0.3))),
    ],
)
def test_an_operation_changes_all_images_or_none(key: str, certain: Any) -> None:
    images = batch(height=16, width=16)
    plain = Augment([OFF], MEAN, STD)([images], seeded())[0]
    changed = Augment([ViewConfig(**{**vars(OFF), key: certain})], MEAN, STD)([images], seeded())[0]
    never = 0.0 if isinstance(certain, float) else type(certain)(**{**vars(certain), "p": 0.0})
    kept = Augment([ViewConfig(**{**vars(OFF), key: never})], MEAN, STD)([images], seeded())[0]
    assert (changed != plain).flatten(1).any(dim=1).all()
    assert torch.equal(kept, plain)
    if key == "cutout":
        inside = changed != plain
        assert changed[inside].abs().max() < 1e-6  # the mean
        assert 0.08 < inside.double().mean() < 0.32


def test_images_of_a_batch_differ_in_their_parameters() -> None:
    images = batch(n=1).expand(30, -1, -1, -1)
    for view in Augment([EVERYTHING, BYOL[1]], MEAN, STD)(images, seeded()):
        assert all(not torch.allclose(a, b) for a, b in pairwise(view))


def test_the_generator_decides_and_the_input_stays() -> None:
    images = batch()
    before = images.clone()
    augment = Augment([EVERYTHING, *BYOL], MEAN, STD)
    torch.manual_seed(0)
    first = augment(images, seeded())
    torch.manual_seed(1)
    for a, b, c in zip(first, augment(images, seeded()), augment(images, seeded(6)), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    assert torch.equal(images, before)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_batches(n: int) -> None:
    views = Augment([EVERYTHING, BYOL[0]], MEAN, STD)(batch(n=2)[:n], seeded())
    assert [v.shape for v in views] == [(n, 3, 24, 24), (n, 3, 16, 16)]
    assert all(v.dtype == torch.float32 and v.isfinite().all() for v in views)


def test_views_can_be_trained_on_and_keep_float32_under_autocast() -> None:
    images = batch()
    augment = Augment([EVERYTHING], MEAN, STD)
    view = augment(images, seeded())[0]
    weight = torch.ones(1, 3, 3, 3, requires_grad=True)
    torch.nn.functional.conv2d(view, weight).sum().backward()
    assert weight.grad is not None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(augment(images, seeded())[0], view)
    with torch.inference_mode():
        assert torch.equal(augment(images, seeded())[0], view)


def test_wrong_input_is_refused() -> None:
    augment = Augment([OFF, OFF], MEAN, STD)
    images = batch()
    with pytest.raises(ValueError, match=r"uint16 \(N, 3, H, W\); received torch.float32 \(40, 3, 20, 24\)"):
        augment(images / 255, seeded())
    with pytest.raises(ValueError, match=r"received torch.uint8 \(40, 1, 20, 24\)"):
        augment(images[:, :1], seeded())
    with pytest.raises(ValueError, match=r"received torch\.uint8 \(3, 20, 24\)"):
        augment(images[0], seeded())
    with pytest.raises(ValueError, match="one batch per view, 2; received 1"):
        augment([images], seeded())
    with pytest.raises(ValueError, match=r"\(N, 3, 16, 16\); received torch.uint8 \(40, 3, 20, 24\)"):
        augment([images, images], seeded())
    with pytest.raises(UserError, match=r"one value per channel.*received 3 and 2"):
        Augment([OFF], MEAN, STD[:2])
