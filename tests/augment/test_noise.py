"""Noise as a function of a seed per image: against SplitMix64 and Box-Muller in Python's numbers, and N(0, 1)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from helpers.methods import ROUNDING
from scipy import stats

import ssl_zoo.augment.views as views_module
from ssl_zoo.augment import Augment, gaussian_noise
from ssl_zoo.augment.noise import hashed_normals
from ssl_zoo.config.schema import NoiseConfig, ViewConfig

BITS = 2**64 - 1


def splitmix64(seed: Any, i: Any) -> Any:
    """The i-th output, from 0, as in the generator's reference implementation in C."""
    z = (seed + (i + 1) * 0x9E3779B97F4A7C15) & BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & BITS
    return z ^ (z >> 31)


def reference(seed: Any, count: Any) -> Any:
    """All cosines, then all sines: count normal values from the top and the bottom 24 bits."""
    pairs = []
    for i in range((count + 1) // 2):
        z = splitmix64(seed, i)
        top = (z >> 40) - (2**24 if z >> 63 else 0)  # signed
        pairs.append((math.sqrt(-2 * math.log(0.5 - top / 2**24)), 2 * math.pi * (z % 2**24) / 2**24))
    return ([r * math.cos(a) for r, a in pairs] + [r * math.sin(a) for r, a in pairs])[:count]


def seeds(n: Any, start: int = 0) -> Any:
    generator = torch.Generator().manual_seed(start)
    return torch.randint(-(2**63), 2**63 - 1, (n,), generator=generator)


def test_the_reference_is_splitmix64() -> None:
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # published for this seed
    assert [splitmix64(1234567, i) for i in range(3)] == expected


@pytest.mark.parametrize("count", [1, 2, 7, 192])
def test_equals_the_reference(count: int) -> None:
    seed = torch.cat((torch.tensor([0, 1, -1, 2**63 - 1, -(2**63)]), seeds(4)))
    expected = torch.tensor([reference(s, count) for s in seed.tolist()])
    torch.testing.assert_close(hashed_normals(seed, count), expected, atol=2e-5, rtol=0)


def test_standard_normal_without_correlations() -> None:
    n, count = 60, 3072
    values = hashed_normals(torch.cat((seeds(n // 2), torch.arange(n // 2))), count)  # near seeds as well
    assert values.isfinite().all()
    for part in (values, *values.split(n // 2), *values.split(count // 2, dim=1)):
        assert stats.kstest(part.flatten().double().numpy(), stats.norm.cdf).pvalue > 1e-4
    assert stats.kurtosistest(values.flatten().double().numpy()).pvalue > 1e-4  # of the tails
    error = 1 / math.sqrt(values.numel())
    for lag in (1, 2, 32, 1024, count // 2):  # neighbours along x, y, channels, and the two of a pair
        a, b = values[:, :-lag].flatten(), values[:, lag:].flatten()
        for x, y in ((a, b), (a.square(), b.square())):
            assert abs(torch.corrcoef(torch.stack((x, y)))[0, 1]) < 6 * error
    between = torch.corrcoef(values) - torch.eye(n)
    assert between.abs().max() < 5.5 / math.sqrt(count)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_added_and_clamped(channels: int) -> None:
    images = torch.rand(9, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    before, seed = images.clone(), seeds(9)
    noise = torch.tensor([reference(s, channels * 35) for s in seed.tolist()]).view(images.shape)
    expected = (images + 0.3 * noise).clamp(0, 1)
    assert ((expected == 0) | (expected == 1)).any()
    result = gaussian_noise(images, seed, 0.3)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    assert torch.equal(images, before)
    assert torch.equal(gaussian_noise(images, seed, 0.0), images)
    gaussian_noise(images, seed, 0.3, out=images)
    assert torch.equal(images, result)


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("at_once", [1, 4])
def test_views_are_equal_with_the_same_threads_and_to_rounding_with_others(
    monkeypatch: pytest.MonkeyPatch, at_once: int, threads: int
) -> None:
    images = torch.randint(0, 256, (30, 3, 21, 21), dtype=torch.uint8)
    augment = Augment([ViewConfig(size=21, noise=NoiseConfig(p=0.7))] * 2, [0.5] * 3, [0.2] * 3)
    torch.set_num_threads(1)
    expected = augment(images, torch.Generator().manual_seed(0))
    assert (expected[0] - expected[1]).abs().mean() > 100 * ROUNDING
    monkeypatch.setattr(views_module, "CACHED", at_once * 3 * 21**2)
    torch.set_num_threads(threads)
    first, second = (augment(images, torch.Generator().manual_seed(0)) for _ in range(2))
    for result, again, alone in zip(first, second, expected, strict=True):
        assert torch.equal(result, again)
        torch.testing.assert_close(result, alone, atol=ROUNDING, rtol=0)
