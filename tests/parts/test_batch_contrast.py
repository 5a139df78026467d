"""What the batch is contrasted with: MoCo v3's keys, NNCLR's predictions, and the nearest neighbour as target."""

from __future__ import annotations

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from reference import naive_contrast as naive
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.equation import Siamese


def outputs(method: Siamese, views: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    z = [method.encoder(view) for view in views]
    return z, [method.predictor(z_i) for z_i in z]


def assert_same(method: Siamese, views: list[Tensor], expected: Tensor) -> None:
    """Our loss and its gradients are the reference's."""
    ours = method.loss(views, index()).loss
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    parameters = [p for p in method.parameters() if p.requires_grad]
    found, wanted = (torch.autograd.grad(loss, parameters) for loss in (ours, expected))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_mocov3_against_a_loop_over_the_keys(temperature: float) -> None:
    method = build("mocov3", f"method.temperature={temperature}", f"method.loss_scale={4 * temperature}")
    views = make_views()
    with torch.no_grad():  # keys apart from the queries
        for parameter in method.target_encoder.parameters():
            parameter.add_(torch.randn_like(parameter) / 10)
        keys = [method.target_encoder(view) for view in views]
    assert_same(method, views, naive.mocov3(outputs(method, views)[1], keys, temperature))


def test_keys_of_the_batch_get_a_gradient_without_stop_gradient() -> None:
    """The term of SimCLR that contrasts with the other view alone."""
    overrides = (
        "method.stop_gradient=false",
        "method.momentum_encoder.enabled=false",
        "method.symmetric=false",
    )
    method, views = build("mocov3", *overrides), [view.requires_grad_() for view in make_views()]
    method.loss(views, index()).loss.backward()
    assert all(bool(view.grad.abs().sum() > 0) for view in views)


def test_nnclr_against_a_loop_over_queue_and_predictions() -> None:
    method = build("nnclr")
    for step in range(3):  # from random vectors to embeddings, 6 a step into 10 places
        views, queue = make_views(seed=step), method.assign.store.vectors.clone()
        z, p = outputs(method, views)
        assert_same(method, views, naive.nnclr(z, p, queue, 0.1))
        method.after_step(progress(step))


def test_nnclrs_other_direction_is_the_batchs_keys() -> None:
    method, views = build("nnclr", "method.negatives=keys"), make_views()
    z, p = outputs(method, views)
    assert_same(method, views, naive.nnclr_other_direction(z, p, method.assign.store.vectors.clone(), 0.1))


def test_small_crops_seek_their_own_view() -> None:
    """With a third view that only predicts, a target seeks its prediction among those of the same view."""
    method, views = build("nnclr"), make_views(3)
    z, p = outputs(method, views)
    queue = method.assign.store.vectors
    neighbours = [torch.stack([naive.nearest(z_n, queue) for z_n in z[j]]) for j in range(2)]
    terms = [
        torch.nn.functional.cross_entropy(
            normalize(neighbours[j], dim=1) @ normalize(p[i], dim=1).T / 0.1, index()
        )
        for j in range(2)
        for i in range(3)
        if i != j
    ]
    torch.testing.assert_close(method.loss(views, index()).loss, torch.stack(terms).mean())


def test_the_queue_takes_the_first_view_once_per_optimizer_step() -> None:
    method = build("nnclr")
    before, queue = method.assign.store.vectors.clone(), []
    for step in range(2):  # two batches accumulated: 12 vectors into 10 places
        views = make_views(seed=step)
        queue.append(normalize(method.encoder(views[0]), dim=1).detach())
        method.loss(views, index()).loss.backward()
        assert torch.equal(method.assign.store.vectors, before), "the queue moved within a step"
    method.after_step(progress())
    newest = torch.cat(queue)[-10:]
    torch.testing.assert_close(method.assign.store.vectors, newest)
    assert {"assign.store.vectors", "assign.store.pointer"} <= set(method.state_dict())
    method.eval().loss(make_views(seed=5), index())
    method.after_step(progress())
    torch.testing.assert_close(method.assign.store.vectors, newest)


def test_the_nearest_neighbour_is_a_constant_unit_vector_of_the_queue() -> None:
    method, views = build("nnclr", "method.symmetric=false"), [view.requires_grad_() for view in make_views()]
    z = method.encoder(views[1])
    target = method.assign({1: 7 * z}, 1, index())
    assert target.requires_grad is False
    assert all(any(torch.equal(row, vector) for vector in method.assign.store.vectors) for row in target)
    cosines = normalize(z, dim=1) @ method.assign.store.vectors.T
    torch.testing.assert_close((normalize(z, dim=1) * target).sum(dim=1), cosines.amax(dim=1))
    method.loss(views, index()).loss.backward()
    assert views[0].grad is not None
    assert views[1].grad is None or not views[1].grad.any()
    assert all(gradient is not None for gradient in gradients(method.encoder).values())
