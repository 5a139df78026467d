"""The reference steps checked against torch's modules and optimizers, lightly's losses, and cases by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss, SwaVLoss
from lightly.utils.lars import LARS
from reference import naive_losses as naive
from reference.naive_steps import (
    Step,
    Weights,
    batch_norm,
    byol_step,
    lars,
    moco_step,
    moving_average_targets,
    multi_step,
    sgd,
    simclr_step,
    simsiam_encoder,
    simsiam_predictor,
    simsiam_step,
    sinkhorn,
    swav_step,
)
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.testing import assert_close

N, D = 6, 4
Modules = dict[str, nn.Module]
DECAY = 0.1  # large enough to see


def views(count: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(N, 5, dtype=torch.float64, generator=generator) for _ in range(count)]


def layers(head: int, *, predictor: bool = False) -> Modules:
    """Torch's modules by the reference's names: `head` linear layers of width D, with BN where asked below."""
    torch.manual_seed(0)
    modules: Modules = {"backbone": nn.Linear(5, D)}
    modules |= {f"projector{i}": nn.Linear(D, D, bias=i == head) for i in range(1, head + 1)}
    if predictor:
        modules |= {"predictor1": nn.Linear(D, D, bias=False), "predictor2": nn.Linear(D, D)}
    return modules


def norm(*, bias: bool = True) -> nn.Module:
    bn = nn.BatchNorm1d(D)
    nn.init.uniform_(bn.weight, 0.5, 1.5)
    nn.init.uniform_(bn.bias, -0.5, 0.5)
    if not bias:
        bn.bias = nn.Parameter(torch.zeros(D), requires_grad=False)
    return bn


def parameters(modules: Modules) -> dict[str, nn.Parameter]:
    found = {}
    for name, module in modules.items():
        for kind, parameter in module.double().named_parameters():
            if parameter.requires_grad:
                bn = {"weight": "gamma", "bias": "beta"} if isinstance(module, nn.BatchNorm1d) else {}
                found[f"{name}.{bn.get(kind, kind)}"] = parameter
    return found


def snapshot(modules: Modules) -> Weights:
    return {name: parameter.detach().clone() for name, parameter in parameters(modules).items()}


def zeros(weights: Weights) -> Weights:
    return {name: torch.zeros_like(w) for name, w in weights.items()}


def chain(modules: Modules, *names: str) -> Callable[[Tensor], Tensor]:
    """Modules by name in order, 'relu' among them."""
    return nn.Sequential(*[nn.ReLU() if name == "relu" else modules[name] for name in names])


def assert_two_steps(
    reference: Callable[[Weights, Weights, list[Tensor]], Step],
    modules: Modules,
    loss: Callable[[list[Tensor]], Tensor],
    optimizer: torch.optim.Optimizer,
    count: int = 2,
) -> list[Step]:
    weights = snapshot(modules)
    buffers = zeros(weights)
    steps = []
    for seed in range(2):
        batch = views(count, seed)
        step = reference(weights, buffers, batch)
        optimizer.zero_grad()
        value = loss(batch)
        value.backward()
        gradients = {name: parameter.grad for name, parameter in parameters(modules).items()}
        assert_close(step.loss, value.detach().reshape(()))
        assert_close(step.gradients, gradients)
        optimizer.step()
        assert_close(step.weights, snapshot(modules), rtol=1e-6, atol=1e-9)
        weights, buffers = step.weights, step.buffers
        steps.append(step)
    return steps


def simsiam_modules() -> Modules:
    modules = layers(3, predictor=True) | {"bn1": norm(), "bn2": norm(), "predictor_bn": norm()}
    modules["projector3"] = nn.Linear(D, D, bias=False)
    return modules | {"bn3": nn.BatchNorm1d(D, affine=False)}


def test_simsiam_step_is_lightlys_loss_under_torchs_sgd() -> None:
    modules = simsiam_modules()
    f = chain(
        modules, "backbone", "projector1", "bn1", "relu", "projector2", "bn2", "relu", "projector3", "bn3"
    )
    h = chain(modules, "predictor1", "predictor_bn", "relu", "predictor2")
    d = NegativeCosineSimilarity()

    def loss(x: list[Tensor]) -> Tensor:
        z1, z2 = f(x[0]), f(x[1])
        return 0.5 * (d(h(z1), z2.detach()) + d(h(z2), z1.detach()))

    named = parameters(modules)
    predictor = [w for name, w in named.items() if name.startswith("predictor")]
    others = [w for name, w in named.items() if not name.startswith("predictor")]
    groups = [{"params": predictor, "lr": 0.7}, {"params": others, "lr": 0.2}]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=DECAY)
    assert_two_steps(
        lambda w, v, x: simsiam_step(w, v, x, 0.2, 0.7, weight_decay=DECAY), modules, loss, optimizer
    )


def lightlys_lars(modules: Modules, lr: float, *, exclude: bool) -> torch.optim.Optimizer:
    named = parameters(modules)
    plain = [w for name, w in named.items() if exclude and not name.endswith("weight")]
    adapted = [w for name, w in named.items() if not exclude or name.endswith("weight")]
    groups = [{"params": adapted, "weight_decay": DECAY}]
    groups += [{"params": plain, "weight_decay": 0.0}] if plain else []  # lightly: no decay, no adaptation
    return LARS(groups, lr=lr, momentum=0.9, trust_coefficient=0.02)


def test_byol_step_is_lightlys_loss_and_lars() -> None:
    modules = layers(2, predictor=True) | {"projector_bn": norm(), "predictor_bn": norm()}
    f = chain(modules, "backbone", "projector1", "projector_bn", "relu", "projector2")
    h = chain(modules, "predictor1", "predictor_bn", "relu", "predictor2")
    peer = layers(2) | {"projector_bn": norm()}
    target = {name: 2 * w for name, w in snapshot(peer).items()}
    with torch.no_grad():
        for name, parameter in parameters(peer).items():
            parameter.copy_(target[name])
    f_target = chain(peer, "backbone", "projector1", "projector_bn", "relu", "projector2")
    d = NegativeCosineSimilarity()

    def loss(x: list[Tensor]) -> Tensor:
        return 4 + 2 * d(h(f(x[0])), f_target(x[1]).detach()) + 2 * d(h(f(x[1])), f_target(x[0]).detach())

    steps = assert_two_steps(
        lambda w, v, x: byol_step(w, target, v, x, 0.3, 3, 10, tau_base=0.9, weight_decay=DECAY, trust=0.02),
        modules,
        loss,
        lightlys_lars(modules, 0.3, exclude=True),
    )
    names = list(target)
    expected = naive.ema(
        [steps[1].weights[name] for name in names], list(target.values()), naive.byol_decay(0.9, 3, 10)
    )
    assert_close([steps[1].target[name] for name in names], expected)


@pytest.mark.parametrize("joint", [False, True])
def test_simclr_step_is_lightlys_loss_and_lars(joint: bool) -> None:
    modules = layers(2) | {"bn1": norm(), "bn2": norm(bias=False)}
    modules["projector2"] = nn.Linear(D, D, bias=False)
    f = chain(modules, "backbone", "projector1", "bn1", "relu", "projector2", "bn2")
    criterion = NTXentLoss(temperature=0.3)

    def loss(x: list[Tensor]) -> Tensor:
        return criterion(*(f(torch.cat(x)).chunk(2) if joint else [f(view) for view in x]))

    assert_two_steps(
        lambda w, v, x: simclr_step(w, v, x, 0.3, 0.3, joint, weight_decay=DECAY, trust=0.02),
        modules,
        loss,
        lightlys_lars(modules, 0.3, exclude=True),
    )


def test_moco_step_is_the_naive_loss_under_torchs_sgd() -> None:
    modules = layers(2) | {"projector1": nn.Linear(D, D)}
    f = chain(modules, "backbone", "projector1", "relu", "projector2")
    peer = layers(2) | {"projector1": nn.Linear(D, D)}
    target = snapshot(peer)
    f_target = chain(peer, "backbone", "projector1", "relu", "projector2")
    queue = normalize(torch.randn(8, D, dtype=torch.float64), dim=1)
    steps = assert_two_steps(
        lambda w, v, x: moco_step(w, target, v, queue, 5, x, 0.3, 0.2, m=0.9, weight_decay=DECAY),
        modules,
        lambda x: naive.info_nce_queue([f(v) for v in x], [f_target(v) for v in x], queue, 0.2, False),
        torch.optim.SGD(list(parameters(modules).values()), lr=0.3, momentum=0.9, weight_decay=DECAY),
    )
    with torch.no_grad():
        keys = normalize(f_target(views(2, 1)[1]), dim=1)
    expected, pointer = naive.enqueue(queue, 5, keys)
    assert_close(steps[1].queue, expected)
    assert steps[1].pointer == pointer == 3
    averages = naive.ema([steps[1].weights[name] for name in target], list(target.values()), 0.9)
    assert_close(list(steps[1].target.values()), averages)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_swav_step_is_lightlys_loss_and_lars(joint: bool, frozen: bool) -> None:
    modules = layers(2) | {"bn1": norm()}
    head = parameters({"prototypes": nn.Linear(D, 7, bias=False)})["prototypes.weight"]
    f = chain(modules, "backbone", "projector1", "bn1", "relu", "projector2")
    criterion = SwaVLoss(temperature=0.2, sinkhorn_iterations=3, sinkhorn_epsilon=0.1)
    optimizer = lightlys_lars(modules, 0.3, exclude=False)
    optimizer.add_param_group({"params": [head], "weight_decay": DECAY})
    weights = snapshot(modules) | {"prototypes": 3 * head.detach()}  # unit length is the step's own business
    buffers = zeros(weights)
    for seed in range(2):
        batch = views(3, seed)
        step = swav_step(
            weights, buffers, batch, 0.3, 0.2, 0.1, 3, frozen, joint, weight_decay=DECAY, trust=0.02
        )
        with torch.no_grad():
            head.copy_(normalize(head, dim=1))
        optimizer.zero_grad()
        z = f(torch.cat(batch)).chunk(3) if joint else [f(view) for view in batch]
        scores = [normalize(view, dim=1) @ head.T for view in z]
        value = criterion(scores[:2], scores[2:])
        value.backward()
        assert_close(step.loss, value.detach().reshape(()))
        expected = {name: parameter.grad for name, parameter in parameters(modules).items()}
        assert_close(step.gradients, expected | {"prototypes": head.grad}, rtol=1e-6, atol=1e-9)
        if frozen:
            head.grad = None
        optimizer.step()
        updated = snapshot(modules) | {"prototypes": head.detach().clone()}
        assert_close(step.weights, updated, rtol=1e-6, atol=1e-9)
        assert bool(step.buffers["prototypes"].any()) is not frozen
        weights, buffers = step.weights, step.buffers


def test_a_step_refuses_weights_that_it_does_not_know() -> None:
    weights = snapshot(simsiam_modules())
    without = {name: w for name, w in weights.items() if name != "bn2.beta"}
    with pytest.raises(KeyError, match=r"bn2\.beta"):
        simsiam_step(without, zeros(without), views(), 0.1, 0.1)
    more = weights | {"bn4.gamma": torch.ones(D, dtype=torch.float64)}
    with pytest.raises(RuntimeError, match="not have been used"):
        simsiam_step(more, zeros(more), views(), 0.1, 0.1)


def test_batch_norm_is_torchs() -> None:
    x, (gamma, beta) = views(1)[0], torch.randn(2, 5, dtype=torch.float64)
    assert_close(batch_norm(x), nn.functional.batch_norm(x, None, None, training=True))
    theirs = nn.functional.batch_norm(x, None, None, gamma, beta, training=True)
    assert_close(batch_norm(x, gamma, beta), theirs)


def test_sinkhorn_is_the_naive_one() -> None:
    scores = views(1)[0]
    assert_close(sinkhorn(scores, 0.5, 3), naive.sinkhorn(scores, 0.5, 3))


def test_sgd_and_lars_by_hand() -> None:
    w, g, v = (torch.tensor(row, dtype=torch.float64) for row in ([3.0, 4.0], [0.0, 2.0], [1.0, 0.0]))
    weight, buffer = sgd(w, g, v, lr=2.0, momentum=0.5, weight_decay=0.5)
    assert_close((weight, buffer), (w - 2 * buffer, torch.tensor([2.0, 4.0], dtype=torch.float64)))
    ours = lars(w, g, v, lr=2.0, momentum=0.5, weight_decay=0.4, trust=0.1)
    assert_close(ours, naive.lars_step(w, g, v, 2.0, 0.5, 0.4, 0.1), rtol=1e-7, atol=0)
    zero = torch.zeros_like(w)
    assert_close(lars(w, zero, v, 2.0, 0.5, 0.4, 0.1), (w - v, 0.5 * v))
    assert_close(lars(zero, g, zero, 2.0, 0.5, 0.4, 0.1), (-2 * g, g))


def test_multi_step_by_hand() -> None:
    # Every image has z = a and p = a + b. From a = (1, 0), b = (0, 1) the loss is -1/sqrt 2 and its gradient
    # (-1, 1)/(2 sqrt 2) for both; a rate of sqrt 2 makes p = (2, 0), which is aligned with the cached target
    # (1, 0), though no longer with a = (1.5, -0.5): loss -1, gradient 0, and only momentum moves them.
    def encode(w: Weights, x: Tensor) -> Tensor:
        return w["a"].expand(len(x), 2)

    weights = {"a": torch.tensor([1.0, 0.0]).double(), "b": torch.tensor([0.0, 1.0]).double()}
    batches = [(torch.zeros(3, 1), torch.zeros(3, 1))] * 2
    rates = [dict.fromkeys("ab", math.sqrt(2)), {"a": 0.0, "b": math.sqrt(8)}]
    first, second = multi_step(
        encode, lambda w, z: z + w["b"], weights, zeros(weights), batches, rates, 0.5, 0.0
    )
    assert first.loss.item() == pytest.approx(-1 / math.sqrt(2))
    assert_close(first.weights["a"], torch.tensor([1.5, -0.5]).double())
    assert_close(first.weights["b"], torch.tensor([0.5, 0.5]).double())
    assert second.loss.item() == pytest.approx(-1.0)
    assert_close(second.weights["a"], first.weights["a"])  # its rate is 0
    assert_close(second.weights["b"], torch.tensor([1.0, 0.0]).double())  # sqrt 8 * 0.5 * (1, -1)/sqrt 8 more


def simsiam_multi_step(weights: Weights, batches: list[tuple[Tensor, Tensor]], lr: float) -> list[Step]:
    rates = [{name: 0.7 if name.startswith("predictor") else lr for name in weights}] * len(batches)
    return multi_step(simsiam_encoder, simsiam_predictor, weights, zeros(weights), batches, rates)


def test_multi_step_of_one_is_simsiam() -> None:
    weights, batch = snapshot(simsiam_modules()), views()
    (ours,) = simsiam_multi_step(weights, [(batch[0], batch[1])], 0.2)
    theirs = simsiam_step(weights, zeros(weights), batch, 0.2, 0.7)
    assert_close(ours[:4], theirs[:4], rtol=0, atol=0)


def test_multi_steps_later_gradients_are_those_with_the_targets_of_the_start() -> None:
    start, batches = snapshot(simsiam_modules()), [(v[0], v[1]) for v in (views(2, 0), views(2, 1))]
    first, second = simsiam_multi_step(start, batches, 0.2)
    eta = [simsiam_encoder(start, x) for x in batches[1]]

    def loss(name: str, place: int, change: float) -> float:
        moved = {key: w.clone() for key, w in first.weights.items()}
        moved[name].view(-1)[place] += change
        p = [simsiam_predictor(moved, simsiam_encoder(moved, x)) for x in batches[1]]
        return naive.simsiam(p, eta, stop_gradient=True).item()

    assert second.loss.item() == pytest.approx(loss("backbone.weight", 0, 0.0))
    for name, gradient in second.gradients.items():
        for place in range(min(4, gradient.numel())):
            slope = (loss(name, place, 1e-6) - loss(name, place, -1e-6)) / 2e-6
            assert gradient.view(-1)[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)
    assert not torch.allclose(eta[0], simsiam_encoder(first.weights, batches[1][0]), atol=1e-2)


def test_moving_average_targets_by_hand() -> None:
    memory = torch.tensor([[1.0, 0.0], [7.0, 7.0], [0.0, 1.0]])
    z = torch.tensor([[3.0, 4.0], [0.0, -2.0], [5.0, 0.0]], requires_grad=True)  # image 2 comes twice
    targets, after = moving_average_targets(memory, torch.tensor([0, 2, 2]), z, m=0.8)
    assert_close(targets, torch.tensor([[0.92, 0.16], [0.0, 0.6], [0.2, 0.48]]))
    assert_close(after, torch.tensor([[0.92, 0.16], [7.0, 7.0], [0.2, 0.48]]))
    assert not targets.requires_grad
    assert torch.equal(memory, torch.tensor([[1.0, 0.0], [7.0, 7.0], [0.0, 1.0]])), "the input is left alone"


def test_moving_average_targets_converge_to_the_mean_direction() -> None:
    z = normalize(views(1)[0], dim=1)
    memory, seen = torch.zeros(1, 5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for n in range(N):
        memory = moving_average_targets(memory, torch.tensor([0]), z[n : n + 1], m=n / (n + 1))[1]
        seen += z[n]
    assert_close(memory[0], seen / N)  # with m = n / (n + 1) the moving average is the plain mean
