"""The references checked against lightly, torch and cases small enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, SwaVLoss
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn
from lightly.models.utils import update_momentum
from lightly.utils.lars import LARS
from lightly.utils.scheduler import cosine_schedule
from reference.naive_losses import (
    byol,
    byol_decay,
    cross_entropy_channels,
    ema,
    enqueue,
    info_nce_queue,
    lars_step,
    nt_xent,
    simclr_predictor,
    simsiam,
    sinkhorn,
    swapped_prediction,
)
from torch import Tensor
from torch.testing import assert_close

N, D, K = 4, 5, 6


def random_views(views: int = 2, dim: int = D, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(N, dim, dtype=torch.float64, generator=generator).requires_grad_() for _ in range(views)
    ]


def unit_views(views: int = 2, dim: int = K) -> list[Tensor]:
    return [F.normalize(view.detach(), dim=1).requires_grad_() for view in random_views(views, dim)]


def assert_same_loss_and_gradient(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    assert ours.shape == ()
    assert_close(ours, theirs.reshape(()))
    assert_close(
        torch.autograd.grad(ours, inputs, allow_unused=True, materialize_grads=True),
        torch.autograd.grad(theirs, inputs, allow_unused=True, materialize_grads=True),
    )


def double(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_simsiam_by_hand() -> None:
    p = [double([2.0, 0.0]), double([0.0, 3.0])]
    z = [double([0.0, -1.0]), double([3.0, 4.0])]
    assert simsiam(p, z, stop_gradient=True, symmetric=False).item() == pytest.approx(-0.6)
    assert simsiam(p, z, stop_gradient=True).item() == pytest.approx(0.5 * -0.6 + 0.5 * 1.0)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_simsiam_is_lightlys_cosine(stop_gradient: bool, symmetric: bool) -> None:
    p, z = random_views(), random_views(seed=1)
    d = NegativeCosineSimilarity()
    targets = [view.detach() for view in z] if stop_gradient else z
    theirs = d(p[0], targets[1])
    if symmetric:
        theirs = 0.5 * theirs + 0.5 * d(p[1], targets[0])
    assert_same_loss_and_gradient(simsiam(p, z, stop_gradient, symmetric), theirs, p + z)


def test_byol_by_hand_and_from_the_cosine() -> None:
    same, opposite = double([1.0, 0.0]), double([-5.0, 0.0])
    assert byol([same, same], [3 * same, same]).item() == pytest.approx(0.0)
    assert byol([same, same], [opposite, same]).item() == pytest.approx(4.0)
    q, z = random_views(), random_views(seed=1)
    d = NegativeCosineSimilarity()
    theirs = 4 + 2 * d(q[0], z[1].detach()) + 2 * d(q[1], z[0].detach())
    assert_same_loss_and_gradient(byol(q, z), theirs, q + z)


def test_nt_xent_by_hand() -> None:
    one = double([1.0, 2.0])
    assert nt_xent([one, -one], 0.5).item() == pytest.approx(0.0)  # the positive is the only key
    eye = torch.eye(2, dtype=torch.float64)
    assert nt_xent([eye, 2 * eye], 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-1 / 0.5)))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_is_lightlys_and_simclr_predictor_without_predictor(temperature: float) -> None:
    z = random_views()
    theirs = NTXentLoss(temperature=temperature)(*z)
    assert_same_loss_and_gradient(nt_xent(z, temperature), theirs, z)
    theirs = NTXentLoss(temperature=temperature)(*z)
    assert_same_loss_and_gradient(simclr_predictor(z, z, temperature, stop_gradient=False), theirs, z)


def test_simclr_predictor_by_hand() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    swapped = eye.flip(0)  # each anchor is orthogonal to its positive and equal to both its negatives
    loss = simclr_predictor([swapped, swapped], [eye, eye], 0.5, stop_gradient=True)
    assert loss.item() == pytest.approx(math.log(1 + 2 * math.exp(1 / 0.5)))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_simclr_predictor_is_the_masked_matrix_form(stop_gradient: bool) -> None:
    p, z = random_views(), random_views(seed=1)
    keys = [F.normalize(view.detach() if stop_gradient else view, dim=1) for view in z]
    mask = torch.zeros(N, N, dtype=torch.float64).fill_diagonal_(-math.inf)
    theirs = torch.zeros((), dtype=torch.float64)
    for i, j in [(0, 1), (1, 0)]:
        anchor = F.normalize(p[i], dim=1)
        logits = torch.cat([anchor @ keys[j].T / 0.2, anchor @ keys[i].T / 0.2 + mask], dim=1)
        theirs = theirs + 0.5 * F.cross_entropy(logits, torch.arange(N))
    assert_same_loss_and_gradient(simclr_predictor(p, z, 0.2, stop_gradient), theirs, p + z)


def test_info_nce_queue_by_hand() -> None:
    q, k = double([2.0, 0.0]), double([5.0, 0.0])
    queue = double([0.0, 1.0], [0.0, -1.0], [-1.0, 0.0])
    loss = info_nce_queue([q, q], [-k, k], queue, 0.5, symmetric=False)
    positive = math.exp(2)
    assert loss.item() == pytest.approx(-math.log(positive / (positive + 2 + math.exp(-2))))


@pytest.mark.parametrize("symmetric", [True, False])
def test_info_nce_queue_and_enqueue_are_lightlys_memory_bank(symmetric: bool) -> None:
    q, live_keys = random_views(), random_views(seed=1)
    k = [view.detach() for view in live_keys]
    queue = F.normalize(random_views(1, seed=2)[0].detach().repeat(2, 1), dim=1)  # (2N, D)
    peer = NTXentLoss(temperature=0.2, memory_bank_size=(2 * N, D)).double()
    peer.memory_bank.bank.copy_(queue)
    theirs = peer(q[0], k[1])
    expected = peer.memory_bank.bank.clone()  # lightly enqueues within the loss
    if symmetric:
        peer.memory_bank.bank.copy_(queue)
        theirs = 0.5 * theirs + 0.5 * peer(q[1], k[0])
    assert_same_loss_and_gradient(info_nce_queue(q, live_keys, queue, 0.2, symmetric), theirs, q + live_keys)
    assert_close(enqueue(queue, 0, F.normalize(k[1], dim=1))[0], expected)


def test_enqueue_replaces_the_oldest_and_wraps() -> None:
    queue, pointer = double([0.0], [1.0], [2.0]), 0
    queue, pointer = enqueue(queue, pointer, double([3.0], [4.0]))
    assert (queue.flatten().tolist(), pointer) == ([3.0, 4.0, 2.0], 2)
    queue, pointer = enqueue(queue, pointer, double([5.0], [6.0]))
    assert (queue.flatten().tolist(), pointer) == ([6.0, 4.0, 5.0], 1)


def test_sinkhorn_by_hand() -> None:
    # Symmetric scores start doubly stochastic: the code is the softmax, whatever the number of iterations.
    scores = double([0.3, 0.0], [0.0, 0.3])
    assert_close(sinkhorn(scores, 0.1, 3), torch.softmax(scores / 0.1, dim=1))
    # exp(scores) = [[2, 1], [1, 1]] by sample; prototypes to 1/2: (2/3, 1/3), (1/2, 1/2); then samples to 1.
    scores = double([math.log(2.0), 0.0], [0.0, 0.0])
    assert_close(sinkhorn(scores, 1.0, 0), double([2 / 3, 1 / 3], [1 / 2, 1 / 2]))
    assert_close(sinkhorn(scores, 1.0, 1), double([4 / 7, 3 / 7], [2 / 5, 3 / 5]))


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_is_lightlys(iterations: int) -> None:
    scores = unit_views(1)[0].detach()
    assert_close(sinkhorn(scores, 0.05, iterations), lightly_sinkhorn(scores, iterations, 0.05))


def test_sinkhorn_converges_to_equal_prototypes() -> None:
    codes = sinkhorn(unit_views(1)[0].detach(), 0.5, 100)
    assert_close(codes.sum(dim=1), torch.ones(N, dtype=torch.float64))
    assert_close(codes.sum(dim=0), torch.full((K,), N / K, dtype=torch.float64))


@pytest.mark.parametrize("low_resolution", [0, 3])
def test_swapped_prediction_is_lightlys(low_resolution: int) -> None:
    scores = unit_views(2 + low_resolution)
    theirs = SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)(scores[:2], scores[2:])
    assert_same_loss_and_gradient(swapped_prediction(scores, 0.1, 0.05, 3), theirs, scores)


def test_swapped_prediction_without_stop_gradient_is_differentiated_through_the_codes() -> None:
    scores = [view.detach()[:2, :3].requires_grad_() for view in unit_views()]
    assert torch.autograd.gradcheck(
        lambda *views: swapped_prediction(list(views), 0.1, 0.5, 2, stop_gradient=False), scores
    )
    stopped = torch.autograd.grad(swapped_prediction(scores, 0.1, 0.5, 2), scores)[0]
    through = torch.autograd.grad(swapped_prediction(scores, 0.1, 0.5, 2, stop_gradient=False), scores)[0]
    assert (stopped - through).abs().max() > 1e-3


def test_cross_entropy_channels_by_hand_and_torchs() -> None:
    p, z = double([math.log(3.0), 0.0]), double([7.0, 7.0])
    assert cross_entropy_channels([p, p], [z, z]).item() == pytest.approx(-0.5 * math.log(3 / 16))
    ps, zs = random_views(), random_views(seed=1)
    targets = [torch.softmax(view.detach(), dim=1) for view in zs]
    theirs = 0.5 * F.cross_entropy(ps[0], targets[1]) + 0.5 * F.cross_entropy(ps[1], targets[0])
    assert_same_loss_and_gradient(cross_entropy_channels(ps, zs), theirs, ps + zs)


def test_ema_is_lightlys() -> None:
    assert ema([double([1.0])], [double([3.0])], 0.75)[0].item() == 2.5
    online, target = torch.nn.Linear(3, 2).double(), torch.nn.Linear(3, 2).double()
    ours = ema(list(online.parameters()), list(target.parameters()), 0.99)
    with torch.no_grad():
        update_momentum(online, target, 0.99)
    assert_close(ours, [parameter.detach() for parameter in target.parameters()])


def test_byol_decay() -> None:
    assert byol_decay(0.99, 0, 100) == pytest.approx(0.99)
    assert byol_decay(0.99, 50, 100) == pytest.approx(0.995)
    assert byol_decay(0.99, 100, 100) == 1.0
    assert byol_decay(0.99, 30, 100) == pytest.approx(cosine_schedule(30, 101, 0.99, 1.0))


def test_lars_step_by_hand() -> None:
    w, g, v = double([3.0, 4.0]), double([0.0, 2.0]), double([1.0, 0.0])
    # ratio = 0.1 * 5 / (2 + 0.4 * 5) = 1/8; g + wd w = (1.2, 3.6); v = (0.5, 0) + (0.15, 0.45)
    weight, buffer = lars_step(w, g, v, lr=2.0, momentum=0.5, weight_decay=0.4, trust=0.1)
    assert_close(buffer, double([0.65, 0.45]))
    assert_close(weight, double([1.7, 3.1]))
    zero = torch.zeros_like(w)
    assert_close(lars_step(zero, g, zero, 2.0, 0.5, 0.4, 0.1), (-2 * g, g))
    assert_close(lars_step(w, zero, v, 2.0, 0.5, 0.4, 0.1), (w - v, 0.5 * v))


def test_lars_step_is_lightlys_over_several_steps() -> None:
    gradients = [view.detach() for view in random_views(4)]
    parameter = torch.nn.Parameter(random_views(1, seed=1)[0].detach().clone())
    peer = LARS([parameter], lr=0.3, momentum=0.9, weight_decay=1e-2, trust_coefficient=0.02)
    weight, buffer = parameter.detach().clone(), torch.zeros(N, D, dtype=torch.float64)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        peer.step()
        weight, buffer = lars_step(weight, gradient, buffer, 0.3, 0.9, 1e-2, 0.02)
    assert_close(parameter.detach(), weight, rtol=1e-6, atol=0)  # lightly has an eps of 1e-8
