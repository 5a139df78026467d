"""AutoAugment: torchvision's operations with our draws, where they stand in the chain, and what a seed draws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers.methods import NO_OPERATION
from scipy import stats
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import AutoAugment, AutoAugmentPolicy, _apply_op

import ssl_zoo.augment.views as views_module
from ssl_zoo.augment import Augment
from ssl_zoo.augment.parameters import draw
from ssl_zoo.config.schema import NoiseConfig, ViewConfig
from ssl_zoo.testing import check_method

SIDE = 20
POLICIES = ("imagenet", "cifar10")


def view_of(policy: str, **keys: Any) -> ViewConfig:
    return ViewConfig(size=SIDE, **{**NO_OPERATION, **keys}, autoaugment=policy)  # type: ignore[arg-type]


def pictures(n: int = 120, channels: int = 3) -> Tensor:
    """Smooth images that fill a part of the range, so that no operation leaves them as they are."""
    x = torch.linspace(0, 1, SIDE)
    phase = torch.rand(n, channels, 1, 1, generator=seeded(1)) * 6
    waves = torch.sin(5 * x.view(-1, 1) + 3 * x + phase)  # (n, C, SIDE, SIDE)
    noise = torch.rand(waves.shape, generator=seeded(2))
    return (120 + 70 * waves + 20 * noise).to(torch.uint8)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def apply_plainly(image: Tensor, policy: str, pair: int, on: list[bool], negative: list[bool]) -> Tensor:
    """One pair of operations on one uint8 image (C, H, W), by torchvision's operations and table of magnitudes."""
    theirs = AutoAugment(AutoAugmentPolicy(policy))
    magnitudes = theirs._augmentation_space(10, (SIDE, SIDE))
    for (name, _, level), applied, minus in zip(theirs.policies[pair], on, negative, strict=True):
        values, signed = magnitudes[name]
        magnitude = 0.0 if level is None else float(values[level]) * (-1 if signed and minus else 1)
        if applied:
            fill = [128.0] * len(image)
            image = _apply_op(image, name, magnitude, interpolation=InterpolationMode.NEAREST, fill=fill)
    return image


def assert_levels(made: Tensor, expected: Tensor) -> None:
    """Whole levels, and those expected; of Contrast, which adds a mean over the pixels, a few may lie beside them."""
    levels = 255 * made
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    off = (levels - expected).abs() > 0.5
    assert off.double().mean() < 1e-3
    assert (levels - expected).abs().max() < 1.5


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_is_changed_as_torchvision_does_after_its_flip(
    policy: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_module, "CACHED", 17 * channels * SIDE**2)  # several parts
    images, view = pictures(channels=channels), view_of(policy, flip=0.5)
    [made] = Augment([view], [0.0] * channels, [1.0] * channels)([images], seeded())
    p = draw(view, images.shape, seeded(), cropped=True)
    assert p.flip is not None
    assert p.autoaugment is not None
    expected = torch.stack(
        [
            apply_plainly(image.flip(2) if flip else image, policy, *row)
            for image, flip, *row in zip(images, p.flip, *map(Tensor.tolist, p.autoaugment), strict=True)
        ]
    )
    assert_levels(made, expected)
    changed = (expected != torch.where(p.flip.view(-1, 1, 1, 1), images.flip(3), images)).flatten(1).any(1)
    assert changed.sum() > 60


def test_it_stands_after_the_crop_and_rounds_to_levels() -> None:
    images, view = pictures(), view_of("imagenet")
    plain = Augment([ViewConfig(size=SIDE, **NO_OPERATION)], [0.0] * 3, [1.0] * 3)(images, seeded())[0]
    p = draw(view, images.shape, seeded()).autoaugment
    assert p is not None
    cropped = (255 * plain).round().to(torch.uint8)
    rows = zip(cropped, *map(Tensor.tolist, p), strict=True)
    expected = torch.stack([apply_plainly(image, "imagenet", *row) for image, *row in rows])
    assert_levels(Augment([view], [0.0] * 3, [1.0] * 3)(images, seeded())[0], expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_draws_are_uniform_over_the_pairs_and_have_the_policys_probabilities(policy: str) -> None:
    count = 40_000
    p = draw(view_of(policy), torch.Size((count, 3, SIDE, SIDE)), seeded()).autoaugment
    assert p is not None
    assert stats.chisquare(torch.bincount(p.pair, minlength=25).numpy()).pvalue > 1e-4
    for pair, operations in enumerate(AutoAugment(AutoAugmentPolicy(policy)).policies):
        on = p.on[p.pair == pair].double()  # (n, 2)
        for column, (_, probability, _) in zip(on.T, operations, strict=True):
            error = math.sqrt(probability * (1 - probability) / len(on))
            assert abs(column.mean() - probability) <= 4.5 * error + 1e-9
    negative = p.negative[p.on].double()
    assert abs(negative.mean() - 0.5) < 4.5 * 0.5 / math.sqrt(len(negative))
    assert not p.negative[~p.on].any()


def test_other_operations_draw_the_same_with_and_without_it() -> None:
    shape = torch.Size((50, 3, SIDE, SIDE))
    for noise in (NoiseConfig(p=0.0), NoiseConfig(p=0.5)):
        without = draw(ViewConfig(size=SIDE, noise=noise), shape, seeded())
        p = draw(ViewConfig(size=SIDE, noise=noise, autoaugment="imagenet"), shape, seeded())
        assert p.boxes is not None
        assert without.boxes is not None
        assert torch.equal(p.boxes, without.boxes)
        assert p.jitter is not None
        assert without.jitter is not None
        assert torch.equal(p.jitter.factors, without.jitter.factors)
        if p.noise is not None:
            assert without.noise is not None
            assert torch.equal(p.noise.seed, without.noise.seed)
    quiet, loud = (
        draw(view_of("imagenet", noise=NoiseConfig(p=p)), shape, seeded()).autoaugment for p in (0.0, 0.5)
    )
    assert quiet is not None
    assert loud is not None
    assert all(torch.equal(a, b) for a, b in zip(quiet, loud, strict=True))


def test_parts_of_a_batch_make_the_whole() -> None:
    images, views = pictures(), [view_of("imagenet", flip=0.5)] * 2
    augment = Augment(views, [0.0] * 3, [1.0] * 3)
    whole = augment([images] * 2, seeded())
    halves = [augment([images[60 * rank : 60 * rank + 60]] * 2, seeded(), (rank, 2)) for rank in (0, 1)]
    for expected, *parts in zip(whole, *halves, strict=True):
        assert_levels(torch.cat(parts), 255 * expected)


@pytest.mark.slow
def test_a_run_is_resumed_to_the_bit() -> None:
    check_method("simsiam", "augment.autoaugment=imagenet", clauses=["resume", "same_seed"])
