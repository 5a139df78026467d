"""The decorrelation: against loops over images and channels, closed forms, and what it does to embeddings."""

from __future__ import annotations

import pytest
import torch
from helpers.methods import build, gradients, index, make_views
from reference import naive_gradients as naive
from torch import Tensor

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import DecorrelationConfig
from ssl_zoo.parts.decorrelation import Decorrelation

ALONE = "method.predictor.kind=identity"
D = 8


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_decorrelation_against_a_loop(standardized: bool, alone: bool) -> None:
    """Value and gradients, alone or added to the loss of the method without it."""
    settings = f"method.decorrelation={{weight: 0.5, standardized: {standardized}, alone: {alone}}}"
    method, plain = build("simsiam", ALONE, settings).double(), build("simsiam", ALONE).double()
    views = [view.double() for view in make_views(images=7)]
    expected = 0.5 * naive.decorrelation([plain.encoder(view) for view in views], standardized)
    if not alone:
        expected = expected + plain.loss(views, index(7)).loss
    expected.backward()
    loss = method.loss(views, index(7)).loss
    loss.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-6)
    wanted = gradients(plain)
    for name, gradient in gradients(method).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-3, atol=1e-6)


def penalty(z: Tensor, standardized: bool = False) -> float:
    config = DecorrelationConfig(weight=1.0, standardized=standardized, alone=True)
    return float(Decorrelation(config)(torch.zeros(()), [z]))


def test_closed_forms() -> None:
    """The D axes, each with both signs: no covariance. Two opposite points: one direction v, C = 2 D v v^T."""
    axes = torch.eye(D, dtype=torch.float64)
    assert penalty(torch.cat([axes, -axes])) == pytest.approx(0, abs=1e-12)
    v = torch.full((1, D), D**-0.5, dtype=torch.float64)
    assert penalty(torch.cat([v, -v])) == pytest.approx((D * D - D) * (2 * D / D) ** 2 / D)
    assert penalty(torch.cat([v, -v]), standardized=True) == pytest.approx(D - 1, rel=1e-4)
    assert penalty(torch.cat([3 * v, -0.1 * v])) == pytest.approx(
        penalty(torch.cat([v, -v]))
    )  # directions alone


@pytest.mark.parametrize("standardized", [True, False])
def test_alone_and_standardized_it_raises_the_residual(standardized: bool) -> None:
    """Fig. 5b in the small: m_r of free, almost collapsed embeddings rises in each of twenty SGD steps, no network.

    The plain covariance is small where embeddings are alike, and so lowers m_r.
    """
    generator = torch.Generator().manual_seed(0)
    shared, common = torch.randn(2, 1, D, generator=generator, dtype=torch.float64)
    spread = torch.randn(64, 1, generator=generator, dtype=torch.float64) * shared
    noise = torch.randn(64, D, generator=generator, dtype=torch.float64)
    z = (common + 0.05 * spread + 0.01 * noise).requires_grad_()
    config = DecorrelationConfig(weight=1.0, standardized=standardized, alone=True)
    regularizer, optimizer = Decorrelation(config), torch.optim.SGD([z], lr=0.05)
    residuals = [residual(z)]
    for _ in range(20):
        optimizer.zero_grad()
        regularizer(torch.zeros(()), [z]).backward()
        optimizer.step()
        residuals.append(residual(z))
    assert residuals == sorted(residuals, reverse=not standardized)
    assert (residuals[-1] > 1.3 * residuals[0]) is standardized


def residual(z: Tensor) -> float:
    unit = z.detach() / z.detach().norm(dim=1, keepdim=True)
    return float((unit - unit.mean(dim=0)).norm(dim=1).mean())


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("simsiam", ["decorrelation.alone=true"], "weight=0 never reads"),
        (
            "simsiam",
            ["decorrelation={weight: 1, alone: true}"],
            "predictor.kind=mlp; set predictor.kind=identity",
        ),
        ("byol", ["decorrelation={weight: 1, alone: true}"], "momentum_encoder.enabled=true; set"),
        ("simclr", ["decorrelation={weight: 1, alone: true}"], "negatives=batch; set negatives=none"),
        (
            "simsiam",
            ["decorrelation={weight: 1, alone: true}", "predictor.kind=identity", "similarity=dot"],
            "similarity=dot chooses one; set similarity=cosine",
        ),
        (
            "simsiam",
            ["decorrelation={weight: 1, alone: true}", "predictor.kind=identity", "predictor.symmetric=true"],
            "predictor.symmetric=true is of",
        ),
        (
            "simsiam",
            ["decorrelation={weight: 1, alone: true}", "predictor.kind=identity", "predictor.on=both"],
            "computes nothing on either",
        ),
    ],
)
def test_contradictions(name: str, changes: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", "data=cifar10", *(f"method.{change}" for change in changes)])


@pytest.mark.parametrize(
    "overrides",
    [
        ("simsiam",),
        ("byol", "method.momentum_encoder.enabled=false"),
        ("simclr", "method.similarity=cosine", "method.negatives=none"),
        ("swav", "method.assignment=identity", "method.prototypes.number=0"),
    ],
    ids=lambda overrides: overrides[0],
)
def test_alone_it_accepts_what_a_method_has_by_default(overrides: tuple[str, ...]) -> None:
    """Their own stop_gradient, temperature, similarity and loss_scale, which nothing reads, change no bit."""
    name, *changes = overrides
    settings = (ALONE, "method.decorrelation={weight: 0.5, alone: true}")
    method = build(name, *settings, *changes)
    z = [method.encoder(view) for view in make_views()]
    torch.testing.assert_close(
        method.loss(make_views(), index()).loss, 0.5 * naive.decorrelation(z, False), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("overrides", "regularised"),
    [
        (("simsiam", "method.symmetric=true"), 2),
        (("simsiam", "method.symmetric=false"), 2),
        (("byol", "method.symmetric=true"), 2),
        (("byol", "method.symmetric=false"), 1),
        (("simsiam", "method.symmetric=false", "method.alternation_steps=3"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_the_views_that_are_regularised(overrides: tuple[str, ...], regularised: int) -> None:
    """Those that pass the trained encoder: the target's too, unless a copy of the encoder makes it."""
    weighted, plain = (build(*overrides, f"method.decorrelation.weight={weight}") for weight in (0.5, 0))
    views = make_views()
    z = [plain.encoder(view) for view in views[:regularised]]
    expected = 0.5 * naive.decorrelation(z, False) + plain.loss(views, index()).loss
    torch.testing.assert_close(weighted.loss(views, index()).loss, expected, rtol=1e-4, atol=1e-6)


def test_the_scale_of_the_loss_is_not_the_regularisers() -> None:
    losses = [
        build("simsiam", f"method.loss_scale={scale}", f"method.decorrelation.weight={weight}")
        .double()
        .loss([view.double() for view in make_views()], index())
        .loss
        for scale in (1, 3)
        for weight in (0, 0.5)
    ]
    plain, regularised, scaled, both = losses
    torch.testing.assert_close(scaled, 3 * plain)
    torch.testing.assert_close(both - scaled, regularised - plain, rtol=1e-5, atol=1e-7)
    assert regularised > plain
