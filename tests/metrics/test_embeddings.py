"""Metrics of the embeddings against naive loops, closed forms and lightly."""

from __future__ import annotations

import math

import pytest
import torch
from lightly.utils.debug import std_of_l2_normalized
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.monitors.evidence import relative_alignment, residual_energy

Rows = list[list[float]]
Figures = dict[str, float]
KEYS = ("output_std_ratio", "center_ratio", "residual_ratio", "effective_rank", "alignment", "uniformity")


def gaussian(N: int, D: int, seed: int = 0) -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(seed))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def squared_distance(a: list[float], b: list[float]) -> float:
    return math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def naive(z_a: Tensor, z_b: Tensor) -> Figures:
    """The definitions, number by number; only the singular values are torch's."""

    def unit(z: Tensor) -> Rows:
        return [[x / math.hypot(*row) for x in row] for row in z.double().tolist()]

    def one(Z: Rows) -> list[float]:
        N, D = len(Z), len(Z[0])
        channels = [[row[d] for row in Z] for d in range(D)]
        o = [mean(channel) for channel in channels]
        std = mean(
            [
                math.sqrt(math.fsum((x - m) ** 2 for x in c) / (N - 1))
                for c, m in zip(channels, o, strict=True)
            ]
        )
        m_r = mean([math.sqrt(squared_distance(row, o)) for row in Z])
        r = torch.tensor([[x - m for x, m in zip(row, o, strict=True)] for row in Z], dtype=torch.float64)
        sigma = torch.linalg.svdvals(r).tolist()
        p = [s / math.fsum(sigma) for s in sigma]
        rank = math.exp(-math.fsum(q * math.log(q) for q in p if q > 1e-14))
        potential = [math.exp(-2 * squared_distance(Z[i], Z[j])) for j in range(N) for i in range(j)]
        return [std * math.sqrt(D), math.hypot(*o), m_r, rank, math.log(mean(potential))]

    Z_a, Z_b = unit(z_a), unit(z_b)
    std, m_o, m_r, rank, uniformity = (mean([a, b]) for a, b in zip(one(Z_a), one(Z_b), strict=True))
    alignment = mean([squared_distance(a, b) for a, b in zip(Z_a, Z_b, strict=True)])
    return dict(zip(KEYS, (std, m_o, m_r, rank, alignment, uniformity), strict=True))


def assert_close(a: Figures, b: Figures, tolerance: float) -> None:
    assert {key: a[key] for key in KEYS} == pytest.approx(
        {key: b[key] for key in KEYS}, abs=tolerance, rel=tolerance
    )


@pytest.mark.parametrize(("N", "D"), [(40, 7), (9, 30)])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_matches_naive_loops(N: int, D: int, shift: float) -> None:
    z_a = gaussian(N, D) * torch.linspace(0.1, 2, D) + shift
    z_b = z_a + 0.3 * gaussian(N, D, seed=1)
    assert_close(measure_embeddings(z_a, z_b), naive(z_a, z_b), 1e-9)


def test_many_images_match_naive_loops() -> None:
    z_a, z_b = gaussian(1100, 3), gaussian(1100, 3, seed=1)  # more than one block of the uniformity
    Z = normalize(z_a.double()), normalize(z_b.double())
    uniformity = mean([torch.pdist(z).square().mul(-2).exp().mean().log().item() for z in Z])
    assert measure_embeddings(z_a, z_b)["uniformity"] == pytest.approx(uniformity, abs=1e-10)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_std_matches_lightly(shift: float) -> None:
    z = gaussian(200, 32) + shift
    assert measure_embeddings(z, z)["output_std_ratio"] == pytest.approx(
        std_of_l2_normalized(z).item() * 32**0.5, rel=1e-5
    )


def test_isotropic_gaussian() -> None:
    N, D = 4000, 64
    d = measure_embeddings(gaussian(N, D), gaussian(N, D, seed=1))
    # A channel's standard deviation errs by 1 / sqrt(2 N); the mean is over D channels and two views.
    assert d["output_std_ratio"] == pytest.approx(1.0, abs=5 / math.sqrt(2 * N * 2 * D))
    assert d["center_ratio"] == pytest.approx(1 / math.sqrt(N), rel=0.2)
    assert d["alignment"] == pytest.approx(2.0, abs=5 * 2 / math.sqrt(N * D))
    assert relative_alignment(d) == pytest.approx(1.0, abs=0.05)
    assert 0.98 * D < d["effective_rank"] <= D
    # E exp(4 cos) is exp(8 / D) for cos ~ N(0, 1 / D), to lowest order.
    assert d["uniformity"] == pytest.approx(-4 + 8 / D, abs=0.02)


@pytest.mark.parametrize("shift", [0.0, 0.5, 100.0])
def test_center_and_residual_add_to_one(shift: float) -> None:
    z = gaussian(300, 20) + shift
    Z = normalize(z.double())
    o = Z.mean(0)
    energy = (Z - o).square().sum(1).mean().item()
    d = measure_embeddings(z, z)
    assert d["center_ratio"] ** 2 + energy == pytest.approx(1.0, abs=1e-12)
    assert residual_energy(d) == pytest.approx(energy, abs=1e-12)
    assert d["residual_ratio"] ** 2 <= energy + 1e-12
    assert d["output_std_ratio"] ** 2 <= energy * 300 / 299 + 1e-12
    distances = torch.pdist(Z).square().mean().item()
    assert 2 * residual_energy(d) * 300 / 299 == pytest.approx(distances, rel=1e-9)


@pytest.mark.parametrize("k", [2, 5, 16])
@pytest.mark.parametrize(("N", "D"), [(320, 40), (320, 700)])
def test_k_equal_orthogonal_directions_have_rank_k(k: int, N: int, D: int) -> None:
    basis = torch.linalg.qr(gaussian(D, D).double())[0][:k]  # (k, D)
    plus_and_minus = torch.cat([basis, -basis])
    z = plus_and_minus.repeat(N // (2 * k), 1)
    d = measure_embeddings(z, z)
    assert d["effective_rank"] == pytest.approx(k, rel=1e-9)
    assert d["stable_rank"] == pytest.approx(k, rel=1e-9)
    assert d["center_ratio"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("N", "D"), [(40, 7), (9, 30)])
def test_the_stable_rank_counts_directions_by_the_strongest(N: int, D: int) -> None:
    z = gaussian(N, D) * torch.linspace(0.1, 2, D)
    Z = normalize(z.double())
    sigma = torch.linalg.svdvals(Z - Z.mean(0))
    expected = (sigma.square().sum() / sigma[0] ** 2).item()
    assert measure_embeddings(z, z)["stable_rank"] == pytest.approx(expected, rel=1e-9)
    same = torch.ones(N, D)
    assert measure_embeddings(same, same)["stable_rank"] == 1.0


@pytest.mark.parametrize("C", [3, 10])
def test_a_simplex_of_C_classes_has_rank_C_minus_1(C: int) -> None:
    z = torch.eye(C, 50).repeat(8, 1)  # one-hot codes, centred: the simplex
    assert measure_embeddings(z, z)["effective_rank"] == pytest.approx(C - 1, rel=1e-9)


@pytest.mark.parametrize("row", [torch.tensor([3.0, 0.1, -7.0, 1e-3]), torch.zeros(4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_constant_outputs(row: Tensor, dtype: torch.dtype) -> None:
    z = row.to(dtype).repeat(33, 1)
    assert_close(
        measure_embeddings(z, z), dict(zip(KEYS, (0.0, 1.0, 0.0, 1.0, 0.0, 0.0), strict=True)), 1e-12
    )
    assert relative_alignment(measure_embeddings(z, z)) == 1.0


def test_rounding_of_a_constant_is_no_direction() -> None:
    z = torch.tensor([3.0, 0.1, -7.0, 1e-3]) * torch.linspace(1, 2, 33)[:, None]
    assert measure_embeddings(z, z)["effective_rank"] == 1.0


def test_a_zero_vector_among_others() -> None:
    z = gaussian(30, 8)
    z[4] = 0
    stand_in = z.clone()
    stand_in[4] = 1.0
    assert_close(measure_embeddings(z, z), measure_embeddings(stand_in, stand_in), 1e-12)


def test_tiny_and_huge_embeddings_are_normalised() -> None:
    z_a, z_b = gaussian(30, 8), gaussian(30, 8, seed=1)
    assert_close(measure_embeddings(1e-30 * z_a, 1e30 * z_b), measure_embeddings(z_a, z_b), 1e-6)


def test_uniformity_does_not_see_the_pairs() -> None:
    z = gaussian(50, 8)
    once = measure_embeddings(z, gaussian(50, 8))["uniformity"]
    stacked = torch.cat([z, z])
    assert measure_embeddings(z, z)["uniformity"] == pytest.approx(once, abs=1e-12)
    assert measure_embeddings(stacked, stacked)["uniformity"] > once + 0.05


def test_alignment_of_opposite_views() -> None:
    z = gaussian(30, 8)
    assert measure_embeddings(z, -z)["alignment"] == pytest.approx(4.0)
    assert measure_embeddings(z, 7 * z)["alignment"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("view", [0, 1])
def test_embeddings_that_are_not_finite_give_nan(value: float, view: int) -> None:
    views = [gaussian(30, 8), gaussian(30, 8, seed=1)]
    views[view][3, 1] = value
    assert all(math.isnan(x) for x in measure_embeddings(*views).values())


@pytest.mark.parametrize("shapes", [((3, 4), (4, 4)), ((1, 4), (1, 4)), ((3,), (3,))])
def test_wrong_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"must have one shape \(N, D\) with N >= 2; received"):
        measure_embeddings(torch.ones(shapes[0]), torch.ones(shapes[1]))
