"""Predictors that the data set, symmetric predictors and the predictor's weight decay, against closed forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from helpers.methods import build, index, make_views, progress
from reference import naive_correlation as naive
from torch import Tensor

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.equation import GridPoint, Siamese
from ssl_zoo.training.optim import build_optimizer

SGD = OptimizerConfig(lr=0.1, lr_scaling="none", weight_decay=0.0, momentum=0.0)
DIRECT, OPTIMAL = "method.predictor.kind=direct", "method.predictor.kind=optimal"
LINEAR, SYMMETRIC = "method.predictor.kind=linear", "method.predictor.symmetric=true"


def step(method: Siamese, number: int, batches: int = 1, config: OptimizerConfig = SGD) -> list[Tensor]:
    """One optimizer step over some batches of 12 images; returns z of each view (12, 8) before it, batch by batch."""
    optimizer = build_optimizer(config, method, 12)
    seen = []
    for batch in range(batches):
        views = make_views(2, 12, seed=10 * number + batch)
        seen += [copy.deepcopy(method.encoder)(view).detach() for view in views]
        (method.loss(views, index(12)).loss / batches).backward()
    optimizer.step()
    method.after_step(progress(number))
    return seen


def test_the_correlation_against_a_loop_over_batches_views_and_images() -> None:
    """F <- rho F + (1 - rho) E[f f^T] once per optimizer step, of two batches here; the first step's is E alone."""
    method = build("byol", DIRECT, "method.predictor.direct.rho=0.3")
    expected = None
    for number in range(3):
        expected = naive.moved(expected, step(method, number, batches=2), 0.3)
        torch.testing.assert_close(
            method.predictor.correlation.matrix.double(), expected, rtol=1e-5, atol=1e-6
        )
    assert {"predictor.correlation.matrix", "predictor.correlation.updates"} <= set(method.state_dict())
    assert naive.moved(None, [torch.ones(1, 2)], 0.3).tolist() == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("eps", [0.01, 0.5])
def test_directpred_is_the_root_of_the_correlation(eps: float) -> None:
    """(W - eps I)^2 = F / max s with W - eps I symmetric and without negative eigenvalues: no eigenvectors needed."""
    method = build("simsiam", DIRECT, f"method.predictor.direct.eps={eps}")
    step(method, 0)
    w, f = method.predictor.linear.weight.double(), method.predictor.correlation.matrix.double()
    root = w - eps * torch.eye(8)
    torch.testing.assert_close(root @ root, f / torch.linalg.matrix_norm(f, 2), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(root, root.T)
    assert torch.linalg.eigvalsh(root).min() > -1e-5


def test_directcopy_is_the_correlation_itself() -> None:
    method = build("byol", DIRECT, "method.predictor.direct.power=1", "method.predictor.direct.eps=0.3")
    seen = step(method, 0)
    expected = naive.moved(None, seen, 0.3) + 0.3 * torch.eye(8)
    torch.testing.assert_close(method.predictor.linear.weight.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("power", "shift"), [(0.5, 0.1), (0.5, -0.1), (0.25, 0.0), (1, 0.05)])
def test_powers_and_shifts_of_the_spectrum(power: float, shift: float) -> None:
    """p_j = max(s_j - c, 0)^power + eps, s_j divided by the largest, along the eigenvectors: Tian et al., Table 7."""
    settings = f"method.predictor.direct={{power: {power}, shift: {shift}, eps: 0.0}}"
    method = build("simsiam", DIRECT, settings)
    step(method, 0)
    w, f = method.predictor.linear.weight.double(), method.predictor.correlation.matrix.double()
    s, u = np.linalg.eigh(f.numpy())
    for value, vector in zip(s, u.T, strict=True):
        scaled = max(value, 0.0) / s[-1]
        p = max((max(scaled - shift, 1e-4) if shift else scaled) ** power, 1e-4)
        torch.testing.assert_close(w @ torch.tensor(vector), p * torch.tensor(vector), rtol=1e-3, atol=1e-4)


def test_between_settings_the_predictor_follows_its_gradient() -> None:
    """Set after steps 0, 3, 6, as luckmatters' `niter % predictor_freq == 0`; plain SGD in between."""
    method = build("simsiam", DIRECT, "method.predictor.direct.every=3")
    fixed = build("simsiam", DIRECT, "method.predictor.direct.every=3", "method.predictor.trainable=false")
    for number in range(5):
        before = method.predictor.linear.weight.detach().clone()
        still = fixed.predictor.linear.weight.detach().clone()
        step(method, number)
        step(fixed, number)
        w = method.predictor.linear.weight
        expected = method.predictor.weight() if number % 3 == 0 else before - 0.1 * w.grad
        torch.testing.assert_close(w.detach(), expected)
        assert torch.equal(fixed.predictor.linear.weight, still) is (number % 3 != 0)
        method.zero_grad()


def test_the_optimal_predictor_is_that_of_least_squares() -> None:
    """Of the pairs (z_1, z'_2) and (z_2, z'_1) of the last batch: numpy's solution, at which the gradient is 0."""
    method = build("byol", OPTIMAL, "method.predictor.optimal.ridge=1e-9")
    torch.manual_seed(3)
    for p in method.target_encoder.parameters():
        p.data.normal_()  # unlike the encoder, as E[t z^T] would else be symmetric
    target = copy.deepcopy(method.target_encoder)
    [z1, z2] = step(method, 0)
    t1, t2 = (target(view).detach() for view in make_views(2, 12, seed=0))
    z, t = torch.cat([z1, z2]).double(), torch.cat([t2, t1]).double()
    solution = torch.tensor(np.linalg.lstsq(z.numpy(), t.numpy(), rcond=None)[0].T)
    w = method.predictor.linear.weight.detach().double()
    torch.testing.assert_close(w, solution, rtol=1e-3, atol=1e-4)
    free = torch.zeros(8, 8, dtype=torch.float64, requires_grad=True)
    (w + free).matmul(z.T).sub(t.T).square().sum(dim=0).mean().backward()
    assert free.grad.abs().max() < 1e-4
    step(method, 1)
    assert not torch.allclose(method.predictor.linear.weight.detach().double(), solution, atol=1e-2)


def test_a_ridge_is_a_multiple_of_the_mean_eigenvalue() -> None:
    method = build("byol", OPTIMAL, "method.predictor.optimal={ridge: 0.5, rho: 0.4}")
    for number in range(2):
        step(method, number)
    f, cross = method.predictor.correlation.matrix, method.predictor.cross.matrix
    expected = cross @ torch.linalg.inv(f + 0.5 * f.trace() / 8 * torch.eye(8))
    torch.testing.assert_close(method.predictor.linear.weight.detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [DIRECT, OPTIMAL])
def test_a_diverged_run_is_reported_by_its_loss(kind: str) -> None:
    method = build("byol", kind)
    step(method, 0)
    with torch.no_grad():
        next(method.encoder.parameters()).fill_(torch.nan)
    step(method, 1)
    assert not method.loss(make_views(), index()).loss.isfinite()


def test_a_symmetric_linear_predictor_is_the_mean_of_a_free_one_and_its_transpose() -> None:
    method, free = build("simsiam", LINEAR, SYMMETRIC), build("simsiam", LINEAR)
    w, start = method.predictor.layers[0].weight, free.predictor.layers[0].weight.detach().clone()
    assert torch.equal(w, (start + start.T) / 2)
    free.load_state_dict(method.state_dict())
    for model in (method, free):
        step(model, 0)
    moved = free.predictor.layers[0].weight.detach()
    assert not torch.allclose(moved, moved.T, atol=1e-5)
    assert torch.equal(w, (moved + moved.T) / 2)


def test_the_second_layer_of_a_symmetric_mlp_is_the_transpose_of_the_first() -> None:
    method, free = build("byol", SYMMETRIC), build("byol")
    free.load_state_dict(method.state_dict())
    for model in (method, free):
        step(model, 0)
    first, last = method.predictor.layers[0].weight, method.predictor.layers[-1].weight
    assert torch.equal(last, first.T)
    expected = (free.predictor.layers[0].weight + free.predictor.layers[-1].weight.T) / 2
    assert torch.equal(first, expected)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_loaded_weights_are_made_symmetric(kind: str) -> None:
    """A stage may begin with a free predictor; what is symmetric already stays to the bit."""
    shape = f"method.predictor.kind={kind}"
    method, free = build("byol", shape, SYMMETRIC), build("byol", shape)
    first, last = (free.predictor.layers[n].weight.detach().clone() for n in (0, -1))
    method.predictor.load_state_dict(free.predictor.state_dict())
    layers = method.predictor.layers
    assert torch.equal(layers[0].weight, (first + last.T) / 2)
    assert torch.equal(layers[-1].weight, layers[0].weight.T)
    saved = copy.deepcopy(method.state_dict())
    method.load_state_dict(saved)
    assert all(torch.equal(value, saved[name]) for name, value in method.state_dict().items())
    assert torch.equal(free.predictor.layers[0].weight, first)


@pytest.mark.parametrize(("own", "decays"), [("null", (0.2, 0.2)), ("0.0", (0.2, 0.0)), ("0.5", (0.2, 0.5))])
def test_the_predictors_weight_decay_is_its_own(own: str, decays: tuple[float, float]) -> None:
    """w <- w - lr (gradient + decay w), decay 0.2 in the encoder: what a step adds to one without decay."""
    decayed, without = build("byol", f"method.predictor.weight_decay={own}"), build("byol")
    start = {name: p.detach().clone() for name, p in without.named_parameters()}
    step(decayed, 0, config=OptimizerConfig(lr=0.1, lr_scaling="none", weight_decay=0.2, momentum=0.0))
    step(without, 0)
    free = dict(without.named_parameters())
    for name, p in decayed.named_parameters():
        if p.requires_grad:
            decay = decays[name.startswith("predictor")]
            torch.testing.assert_close(p.detach(), free[name].detach() - 0.1 * decay * start[name])


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("simsiam", ["predictor.kind=bias", "predictor.symmetric=true"], "of predictor.kind=linear and mlp"),
        (
            "simsiam",
            ["predictor.kind=direct", "predictor.symmetric=true"],
            "of predictor.kind=linear and mlp",
        ),
        ("simsiam", ["predictor.kind=direct", "predictor.bn_output=true"], "set predictor.bn_output=false"),
        ("simsiam", ["predictor.kind=optimal", "predictor.on=both"], "set predictor.on=anchor"),
        ("simclr", ["predictor.kind=optimal", "stop_gradient=true"], "similarity=info_nce"),
        ("simsiam", ["predictor.kind=optimal", "stop_gradient=false"], "stop_gradient=false"),
        ("simclr", ["predictor.weight_decay=0"], "predictor.kind=identity"),
        ("byol", ["predictor.kind=direct", "predictor.weight_decay=0.1"], "predictor.direct.every above 1"),
        ("byol", ["predictor.kind=optimal", "predictor.weight_decay=0.1"], "predictor.optimal.every above 1"),
        ("simsiam", ["predictor.trainable=false", "predictor.weight_decay=0"], "weights that are trained"),
        ("simsiam", ["predictor.direct.shift=1"], "less than 1"),
        ("simsiam", ["predictor.optimal.ridge=0"], "greater than 0|above 0"),
    ],
)
def test_contradictions(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override}" for override in overrides)])


def test_a_run_is_named_by_its_predictor() -> None:
    for overrides, expected in (
        ([DIRECT], "direct"),
        ([DIRECT, "method.predictor.trainable=false"], "direct"),
        ([LINEAR, SYMMETRIC], "symmetric linear"),
        ([LINEAR, "method.predictor.trainable=false"], "fixed random"),
    ):
        method = compose(["method=simsiam", "data=cifar10", *overrides]).method
        assert GridPoint.of(method).predictor == expected


@pytest.mark.parametrize(("kind", "layer"), [("direct", "linear"), ("linear", "layers.0"), ("mlp", None)])
def test_diagnostics_see_the_weight_of_a_single_layer(kind: str, layer: str | None) -> None:
    method = build("byol", f"method.predictor.kind={kind}")
    assert method.predictor_weight() is (layer and method.predictor.get_submodule(layer).weight)
