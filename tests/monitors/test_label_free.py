"""Label-free scores against closed forms and against numpy's singular values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ssl_zoo.monitors.label_free import LabelFreeScores, label_free, resampled, spectrum


def with_spectrum(variances: Any, images: int = 400, mean: float = 0.0, seed: int = 0) -> Any:
    """Features (N, F) whose covariance has exactly these eigenvalues, and whose mean is `mean` everywhere."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(images, len(variances)))
    u, _ = np.linalg.qr(noise - noise.mean(axis=0))  # orthonormal and centred columns
    turn, _ = np.linalg.qr(rng.normal(size=(len(variances),) * 2))
    return torch.from_numpy(u * np.sqrt(np.array(variances) * images) @ turn + mean)


def naive(features: Any) -> Any:
    """All four from numpy's singular values, as the papers write them."""
    z = features.double().numpy()
    sigma = np.linalg.svd(z, compute_uv=False)
    p = sigma / sigma.sum() + 1e-7
    rankme = np.exp(-(p * np.log(p)).sum())
    s = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)
    s = s[s > s[0] * 1e-10]
    q = s / s.sum()
    rank, variance = np.arange(1, len(s) + 1), s**2
    alpha = -np.polyfit(np.log(rank), np.log(variance), 1, w=np.sqrt(1 / rank))[0]
    return rankme, alpha, np.exp(-(q * np.log(q)).sum()), variance.sum() ** 2 / (variance**2).sum()


@pytest.mark.parametrize(("images", "width"), [(200, 12), (12, 200), (40, 40)])
def test_agrees_with_numpy(images: int, width: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(images, width, dtype=torch.float64) * torch.linspace(0.2, 2, width) + 0.5
    scores = label_free(features)
    assert list(vars(scores).values()) == pytest.approx(naive(features), rel=1e-6)


def test_equal_variances_use_every_direction() -> None:
    scores = label_free(with_spectrum([3.0] * 8))
    assert scores.rankme == pytest.approx(8, rel=1e-5)
    assert scores.effective_rank == pytest.approx(8)
    assert scores.participation_ratio == pytest.approx(8)
    assert scores.alpha_req == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.5])
def test_alpha_of_an_exact_power_law(alpha: float) -> None:
    scores = label_free(with_spectrum([j**-alpha for j in range(1, 31)]))
    assert scores.alpha_req == pytest.approx(alpha)
    assert scores.alpha_distance == pytest.approx(abs(alpha - 1))


def test_participation_ratio_of_two_variances() -> None:
    assert label_free(with_spectrum([3.0, 1.0])).participation_ratio == pytest.approx(16 / 10)


def test_only_rankme_counts_the_mean() -> None:
    centred, shifted = (label_free(with_spectrum([2.0, 1.0, 1.0], mean=mean)) for mean in (0.0, 30.0))
    assert shifted.rankme < 1.5 < centred.rankme
    assert shifted.effective_rank == pytest.approx(centred.effective_rank)
    assert shifted.participation_ratio == pytest.approx(centred.participation_ratio)


@pytest.mark.parametrize("scale", [1e-12, 1e8])
def test_scale_changes_nothing(scale: float) -> None:
    features = torch.randn(60, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert vars(label_free(features * scale)) == pytest.approx(vars(label_free(features)))


@pytest.mark.parametrize("width", [3, 300])
def test_collapsed_features_have_rank_one(width: int) -> None:
    torch.manual_seed(0)
    vector = torch.randn(width)
    rounding = vector * (1 + torch.finfo(torch.float32).eps * torch.randint(-1, 2, (50, width)) / 2)
    for features in (vector.expand(50, -1), rounding, torch.zeros(50, width)):
        scores = label_free(features)
        assert scores.rankme == pytest.approx(1, abs=1e-3)
        assert scores.effective_rank == scores.participation_ratio == 1
        assert scores.alpha_req == math.inf


def test_what_is_not_finite_has_no_score() -> None:
    features = torch.ones(5, 3)
    features[0, 0] = torch.inf
    assert all(math.isnan(value) for value in vars(label_free(features)).values())
    assert all(math.isnan(value) for value in vars(resampled(features)).values())


@pytest.mark.parametrize("shape", [(1, 4), (4,), (2, 3, 4), (3, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least two images"):
        label_free(torch.zeros(shape))


@pytest.mark.parametrize(("images", "width"), [(50, 6), (20, 40)])
def test_spectrum_is_that_of_numpys_covariance(images: int, width: int) -> None:
    features = torch.randn(images, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = np.linalg.eigvalsh(np.cov(features.numpy().T, bias=True))[::-1][: min(images, width)]
    found = spectrum(features)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert float(found.sum()) == pytest.approx(float(features.var(dim=0, correction=0).sum()))


def test_resampling_is_that_of_repeated_rows() -> None:
    features = torch.randn(30, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = resampled(features, repeats=6, seed=4)
    generator = torch.Generator().manual_seed(4)
    drawn = [naive(features[torch.randint(30, (30,), generator=generator)]) for _ in range(6)]
    expected = LabelFreeScores(*np.std(drawn, axis=0, ddof=1))
    assert vars(found) == pytest.approx(vars(expected), rel=1e-4)


def test_more_images_have_a_smaller_error() -> None:
    features = torch.randn(2000, 5, generator=torch.Generator().manual_seed(5))
    few, many = resampled(features[:100]).participation_ratio, resampled(features).participation_ratio
    assert many < few / 2
