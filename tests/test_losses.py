"""Each loss against an independent double loop written from the papers, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from helpers.methods import build, index, make_views
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.loss.swav_loss import SwaVLoss
from reference import naive_losses as naive
from torch import Tensor
from torch.nn.functional import linear, normalize

from ssl_zoo.equation import Siamese

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def embeddings(method: Siamese, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """z and p of each view, by the method's own modules."""
    z = [method.encoder(view) for view in views]
    return z, [method.predictor(z_i) for z_i in z]


def assert_same(method: Siamese, views: list[Tensor], expected: Tensor) -> None:
    """Our loss equals the reference, and so do the gradients of all encoder and predictor weights."""
    parameters = [p for p in method.parameters() if p.requires_grad]
    ours = method.loss(views, index()).loss
    torch.testing.assert_close(ours, expected, **CLOSE)
    for a, b in zip(
        torch.autograd.grad(ours, parameters, allow_unused=True),
        torch.autograd.grad(expected, parameters, allow_unused=True),
        strict=True,
    ):
        if a is None or b is None:
            assert a is None or not a.any()
            assert b is None or not b.any()
        else:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_simsiam(stop_gradient: bool, symmetric: bool) -> None:
    method = build("simsiam", f"method.stop_gradient={stop_gradient}", f"method.symmetric={symmetric}")
    views = make_views()
    z, p = embeddings(method, views)
    assert_same(method, views, naive.simsiam(p, z, stop_gradient=stop_gradient, symmetric=symmetric))


def test_simsiam_is_lightlys_negative_cosine() -> None:
    method, views = build("simsiam"), make_views()
    (z1, z2), (p1, p2) = embeddings(method, views)
    criterion = NegativeCosineSimilarity()
    assert_same(method, views, (criterion(p1, z2.detach()) + criterion(p2, z1.detach())) / 2)


def test_byol_sums_over_both_orders() -> None:
    method, views = build("byol"), make_views()
    with torch.no_grad():  # a target apart from the online network
        for parameter in method.target_encoder.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
        targets = [method.target_encoder(view) for view in views]
    _, q = embeddings(method, views)
    # Ours leaves out the constant 2 of each order.
    assert_same(method, views, naive.byol(q, targets) - 4)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_simclr_is_nt_xent(temperature: float) -> None:
    method, views = build("simclr", f"method.temperature={temperature}"), make_views()
    z, _ = embeddings(method, views)
    assert_same(method, views, naive.nt_xent(z, temperature))


def test_simclr_is_lightlys_nt_xent_to_1e_6() -> None:
    method, views = build("simclr").double(), [view.double() for view in make_views(images=16)]
    z, _ = embeddings(method, views)
    expected = NTXentLoss(temperature=0.1)(*[z_i.float() for z_i in z])
    ours = method.loss(views, index(16)).loss
    assert abs(ours.item() - expected.item()) < 1e-6


def test_simclrs_code_sums_over_both_directions() -> None:
    method, views = build("simclr", "method.loss_scale=2"), make_views()
    z, _ = embeddings(method, views)
    assert_same(method, views, naive.simclr_code(z, 0.1))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_simclr_with_predictor(stop_gradient: bool) -> None:
    method = build("simclr", "method.predictor.kind=mlp", f"method.stop_gradient={stop_gradient}")
    views = make_views()
    z, p = embeddings(method, views)
    assert_same(method, views, naive.simclr_predictor(p, z, 0.1, stop_gradient=stop_gradient))


@pytest.mark.parametrize("symmetric", [True, False])
def test_moco_against_a_loop_over_the_queue(symmetric: bool) -> None:
    method, views = build("moco", f"method.symmetric={symmetric}"), make_views()
    with torch.no_grad():
        keys = [method.target_encoder(view) for view in views]
    q, _ = embeddings(method, views)
    queue = method.negatives.store.vectors.clone()
    assert_same(method, views, naive.info_nce_queue(q, keys, queue, 0.2, symmetric=symmetric))


def test_symmetric_mocos_code_sums_over_both_orders() -> None:
    method, views = build("moco", "method.symmetric=true", "method.loss_scale=2"), make_views()
    with torch.no_grad():
        keys = [method.target_encoder(view) for view in views]
    q, _ = embeddings(method, views)
    queue = method.negatives.store.vectors.clone()
    assert_same(method, views, naive.moco_code(q, keys, queue, 0.2))


@pytest.mark.parametrize("views", [2, 4])
def test_swav_against_loops_and_lightly(views: int) -> None:
    method, images = build("swav", "method.prototypes.number=7"), make_views(views)
    scores = [linear(normalize(method.encoder(x), dim=1), method.prototypes.weight) for x in images]
    assert_same(method, images, naive.swapped_prediction(scores, 0.1, 0.05, 3))
    scores = [linear(normalize(method.encoder(x), dim=1), method.prototypes.weight) for x in images]
    assert_same(method, images, SwaVLoss()(scores[:2], scores[2:])[0])


def test_swav_without_stop_gradient_differentiates_sinkhorn() -> None:
    method, images = build("swav", "method.prototypes.number=7", "method.stop_gradient=false"), make_views()
    scores = [linear(normalize(method.encoder(x), dim=1), method.prototypes.weight) for x in images]
    assert_same(method, images, naive.swapped_prediction(scores, 0.1, 0.05, 3, stop_gradient=False))


def test_cross_entropy_over_channels() -> None:
    method, views = build("simsiam", "method.similarity=cross_entropy"), make_views()
    z, p = embeddings(method, views)
    assert_same(method, views, naive.cross_entropy_channels(p, z))


def test_loss_is_float32_under_autocast() -> None:
    method, views = build("simclr"), make_views()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = [method.encoder(view) for view in views]
        loss = method.loss(views, index()).loss
    assert z[0].dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, naive.nt_xent([z_i.float() for z_i in z], 0.1), **CLOSE)
