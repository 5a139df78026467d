"""The draws: ranges, probabilities, orders."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, permutations
from typing import Any

import pytest
import torch
from scipy import stats

from ssl_zoo.augment.parameters import draw
from ssl_zoo.config.schema import (
    AffineConfig,
    BlurConfig,
    CutoutConfig,
    JitterConfig,
    NoiseConfig,
    SolarizeConfig,
    ViewConfig,
)

N = 6000


def make(**keys: Any) -> Any:
    return draw(ViewConfig(size=32, **keys), torch.Size((N, 3, 32, 32)), torch.Generator().manual_seed(0))


def assert_uniform(values: Any, low: Any, high: Any) -> None:
    statistic = stats.kstest(values.double().flatten().numpy(), stats.uniform(low, high - low).cdf)
    assert statistic.pvalue > 1e-4, (low, high, statistic)


def test_probabilities() -> None:
    p = make(
        flip=0.3,
        affine=AffineConfig(p=0.4),
        jitter=JitterConfig(p=0.8),
        grayscale=0.2,
        blur=BlurConfig(p=0.1),
        solarize=SolarizeConfig(p=0.6),
        rotate=0.7,
        noise=NoiseConfig(p=0.35),
        sobel=0.15,
        cutout=CutoutConfig(p=0.45),
    )
    drawn = [p.flip, p.affine.on, p.jitter.on, p.gray, p.blur.on, p.solarize]
    drawn += [p.rotate > 0, p.noise.on, p.sobel, p.cutout.on]
    for on, share in zip(drawn, (0.3, 0.4, 0.8, 0.2, 0.1, 0.6, 0.7, 0.35, 0.15, 0.45), strict=True):
        assert abs(on.double().mean() - share) < 4.5 * math.sqrt(share * (1 - share) / N)
    for a, b in pairwise(drawn):  # independent of each other
        assert abs(torch.corrcoef(torch.stack((a, b)).double())[0, 1]) < 4.5 / math.sqrt(N)


def test_certain_and_impossible() -> None:
    p = make(flip=1.0, grayscale=0.0, jitter=JitterConfig(p=0.0), blur=BlurConfig(p=0.0))
    assert p.flip.all()
    assert (p.affine, p.jitter, p.gray, p.blur, p.solarize) == (None,) * 5
    assert (p.rotate, p.noise, p.sobel, p.cutout) == (None,) * 4
    p = make(rotate=1.0, noise=NoiseConfig(p=1.0), sobel=1.0, cutout=CutoutConfig(p=1.0))
    assert all(on.all() for on in (p.rotate, p.noise.on, p.sobel, p.cutout.on))


@pytest.mark.parametrize(
    "others",
    [{}, {"affine": AffineConfig(p=0.5), "rotate": 0.3, "sobel": 0.2, "cutout": CutoutConfig(p=0.1)}],
)
def test_a_seed_draws_what_it_has_always_drawn(others: dict[str, Any]) -> None:
    """Whichever other operations are on."""
    generator, stream = (torch.Generator().manual_seed(3) for _ in range(2))
    p = draw(ViewConfig(solarize=SolarizeConfig(p=0.2), **others), torch.Size((N, 3, 32, 32)), generator)
    u = torch.rand(49, N, generator=stream)  # 22 for the crop, 4 for the cutout
    flip, _, _, jitter, gray, blur, _, _, solarize, _ = u[27:37]
    brightness, contrast, saturation, hue, sigma = u[37:42]
    assert torch.equal(p.flip, flip < 0.5)
    assert torch.equal(p.jitter.on, jitter < 0.8)
    orders = torch.tensor(list(permutations(range(4))))
    assert torch.equal(p.jitter.order, orders[(24 * u[26]).long()])
    factors = 0.6 + 0.8 * torch.stack((brightness, contrast, saturation), dim=1)
    torch.testing.assert_close(p.jitter.factors, factors)
    torch.testing.assert_close(p.jitter.shift, 0.2 * hue - 0.1)
    assert torch.equal(p.gray, gray < 0.2)
    assert torch.equal(p.blur.on, blur < 0.5)
    torch.testing.assert_close(p.blur.sigma, 0.1 + 1.9 * sigma)
    assert torch.equal(p.solarize, solarize < 0.2)
    assert torch.equal(generator.get_state(), stream.get_state())


def test_turns_are_equally_likely() -> None:
    turns = make(rotate=0.8).rotate
    counts = torch.bincount(turns, minlength=4)
    assert len(counts) == 4
    assert stats.chisquare(counts[1:].numpy()).pvalue > 1e-4


def test_noise_seeds_are_uniform_over_all_of_int64() -> None:
    seeds = make(noise=NoiseConfig(p=0.5)).noise.seed
    assert seeds.dtype == torch.int64
    assert len(seeds.unique()) == N
    assert_uniform(seeds, -(2.0**63), 2.0**63)
    assert_uniform(seeds & 0xFFFF, 0, 2.0**16)


def test_jitter_orders_are_uniform_over_the_permutations_and_differ_between_images() -> None:
    orders = make().jitter.order
    assert torch.equal(orders.sort(dim=1).values, torch.arange(4).expand(N, 4))
    counts = Counter(map(tuple, orders.tolist()))
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_jitter_factors(strength: float) -> None:
    config = JitterConfig(strength=strength, brightness=0.4, contrast=0.8, saturation=0.2, hue=0.1)
    p = make(jitter=config).jitter
    for column, reach in zip(p.factors.T, (0.4, 0.8, 0.2), strict=True):
        assert_uniform(column, max(0, 1 - strength * reach), 1 + strength * reach)
    assert_uniform(p.shift, -0.1 * strength, 0.1 * strength)


def test_no_hue() -> None:
    assert make(jitter=JitterConfig(hue=0.0)).jitter.shift is None


def test_blur_and_affine_ranges() -> None:
    p = make(
        blur=BlurConfig(sigma=(0.1, 2.0)),
        affine=AffineConfig(p=1.0, degrees=15.0, translate=0.5, scale=(0.8, 1.1), shear=10.0),
    )
    assert_uniform(p.blur.sigma, 0.1, 2.0)
    assert_uniform(p.affine.angle, -15, 15)
    assert_uniform(p.affine.scale, 0.8, 1.1)
    assert_uniform(p.affine.shear, -10, 10)
    assert torch.equal(p.affine.translate, p.affine.translate.round())
    inner = torch.bincount(p.affine.translate.flatten().long() + 16)[1:-1]  # -15 to 15, all alike
    assert len(inner) == 31
    assert stats.chisquare(inner.numpy()).pvalue > 1e-4


def test_grouped_is_an_order_with_few_changes() -> None:
    p = make()
    order = p.grouped(N)
    assert torch.equal(order.sort().values, torch.arange(N))
    assert p.rows(order).jitter.on.int().diff().abs().sum() == 1
    assert p.rows(order).blur.on.int().diff().abs().sum() == 5  # one change within each place of the hue
    assert torch.equal(p.rows(order).boxes, p.boxes[order])
    p = make(rotate=0.5, noise=NoiseConfig(p=0.5), sobel=0.5, cutout=CutoutConfig(p=0.5))
    grouped = p.rows(p.grouped(N))
    assert grouped.noise.on.int().diff().abs().sum() == 1
    assert grouped.sobel.int().diff().abs().sum() == 2  # there and back
    assert torch.equal(p.rows(slice(5, 9)).cutout.boxes, p.cutout.boxes[5:9])
