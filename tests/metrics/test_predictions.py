"""Metrics of a predictor's outputs against naive loops and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.methods import build, make_views
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.metrics import Embeddings, measure_embeddings
from ssl_zoo.metrics.predictions import eigenspace_alignment, eta, inverse_cosine
from ssl_zoo.metrics.sphere import covariance


def gaussian(N: int, D: int, seed: int = 0) -> Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_covariance_against_loops() -> None:
    z = gaussian(20, 5)
    Z = normalize(z, dim=1).tolist()
    N, D = len(Z), len(Z[0])
    o = [math.fsum(row[d] for row in Z) / N for d in range(D)]
    expected = 0.0
    for a in range(D):
        for b in range(D):
            entry = math.fsum((row[a] - o[a]) * (row[b] - o[b]) for row in Z) / (N - 1)
            expected += entry**2 / D if a != b else 0
    assert covariance(Embeddings(z)) == pytest.approx(expected, rel=1e-12)


def test_covariance_of_channels_that_repeat_one_another() -> None:
    """x = (s, s, s, s) / 2 with s = +-1 has covariances of N / (N - 1) / 4 everywhere."""
    signs = torch.tensor([1.0, -1.0] * 8, dtype=torch.float64)
    assert covariance(Embeddings(signs[:, None].repeat(1, 4))) == pytest.approx(12 * (16 / 15 / 4) ** 2 / 4)
    independent = torch.cartesian_prod(*[torch.tensor([1.0, -1.0])] * 4)
    assert covariance(Embeddings(independent)) == pytest.approx(0, abs=1e-15)


def test_eta_takes_the_predictions_centre_out_of_the_extra_gradient() -> None:
    z, p = gaussian(30, 6) + 0.5, gaussian(30, 6, seed=1) + 0.3
    value = eta(Embeddings(z, p))
    o_z, o_p = normalize(z, dim=1).mean(dim=0), normalize(p, dim=1).mean(dim=0)
    o_e = o_z - o_p
    assert float(torch.cosine_similarity(o_e - value * o_p, o_p, dim=0)) == pytest.approx(0, abs=1e-12)


def test_eta_is_half_the_centre_that_the_embeddings_lack() -> None:
    """The predictions are the embeddings, and one vector for one image in two: o_z = o_p / 2 where Z is centred so."""
    half = torch.tensor(
        [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0]]
    )  # o = (1/3, 0)
    full = torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0], [0.0, -1.0]])  # o = (2/3, 0)
    assert eta(Embeddings(half, full)) == pytest.approx(-0.5)
    assert eta(Embeddings(full, full)) == pytest.approx(0)


def test_inverse_cosine_against_a_loop() -> None:
    z, recovered = gaussian(12, 5), gaussian(12, 5, seed=1)
    cosines = [float(torch.dot(a, b) / (a.norm() * b.norm())) for a, b in zip(z, recovered, strict=True)]
    assert inverse_cosine(Embeddings(z, recovered=recovered)) == pytest.approx(math.fsum(cosines) / 12)
    assert inverse_cosine(Embeddings(z, recovered=3 * z)) == pytest.approx(1)


def test_an_inverse_predictor_is_measured_where_there_is_one() -> None:
    views, predictions = (gaussian(12, 5), gaussian(12, 5, seed=1)), (gaussian(12, 5, seed=2),) * 2
    measured = measure_embeddings(
        *(Embeddings(z, p, recovered=z) for z, p in zip(views, predictions, strict=True))
    )
    assert measured["inverse_cosine"] == pytest.approx(1)
    assert "inverse_cosine" not in measure_embeddings(*map(Embeddings, views, predictions))
    method = build("simsiam", "method.predictor.on=both", "method.predictor.inverse=true")
    z = method.encoder(make_views()[0])
    recovered = method.recover(method.predict(z))
    assert recovered is not None
    torch.testing.assert_close(recovered, method.h.inverse(method.predictor(z)))
    assert build("simsiam").recover(z) is None


def test_eigenspaces_of_a_function_of_the_correlation_are_aligned() -> None:
    z = gaussian(200, 4) * torch.tensor([4.0, 3.0, 2.0, 1.0])
    F = z.T @ z / len(z)
    assert eigenspace_alignment(Embeddings(z, z, F @ F + 0.1 * F)) == pytest.approx(1)
    assert eigenspace_alignment(Embeddings(z, z, -F)) == pytest.approx(1)


def test_a_rotation_by_a_right_angle_is_not_aligned() -> None:
    z = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert eigenspace_alignment(Embeddings(z, z, turn)) == pytest.approx(0, abs=1e-12)
    quarter = torch.tensor([[1.0, -1.0], [1.0, 1.0]]) * 2**-0.5
    assert eigenspace_alignment(Embeddings(z, z, quarter)) == pytest.approx(2**-0.5)
    assert eigenspace_alignment(Embeddings(z, z, torch.zeros(2, 2))) == 0


def test_eigenvectors_count_by_their_eigenvalue() -> None:
    """Correlation diag(4, 1) / 2; the first eigenvector stays, the second is mapped to the first."""
    z = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    assert eigenspace_alignment(Embeddings(z, z, torch.tensor([[1.0, 1.0], [0.0, 0.0]]))) == pytest.approx(
        0.8
    )


def test_what_a_method_lacks_is_left_out() -> None:
    z_a, z_b, p_a, p_b = (gaussian(10, 4, seed) for seed in range(4))
    without = measure_embeddings(z_a, z_b)
    assert not {"eta", "prediction_center_ratio", "eigenspace_alignment"} & without.keys()
    some = measure_embeddings(Embeddings(z_a, p_a), Embeddings(z_b, p_b))
    assert {"eta", "prediction_center_ratio", "prediction_residual_ratio"} == some.keys() - without.keys()
    whole = measure_embeddings(Embeddings(z_a, p_a, torch.eye(4)), Embeddings(z_b, p_b, torch.eye(4)))
    assert whole.keys() - some.keys() == {"eigenspace_alignment"}
    assert whole["prediction_center_ratio"] == measure_embeddings(p_a, p_b)["center_ratio"]
    assert whole["prediction_residual_ratio"] == measure_embeddings(p_a, p_b)["residual_ratio"]


def test_a_prediction_that_is_not_finite_makes_all_nan() -> None:
    z, p = gaussian(10, 4), gaussian(10, 4)
    p[3, 2] = math.inf
    assert all(math.isnan(value) for value in measure_embeddings(Embeddings(z, z), Embeddings(z, p)).values())
