"""The gradient's parts: against loops, against SimSiam, and Conjecture 1 in the small."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from helpers.methods import build, gradients, index, make_views
from reference import naive_gradients as naive
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import ExtraGradientConfig
from ssl_zoo.parts.extra_gradient import build_target
from ssl_zoo.parts.similarity import Dot

PARTS = ("basic", "center", "residual")
KEPT = [set(kept) for size in (1, 2, 3) for kept in combinations(PARTS, size)]
CASES = [
    *((of, kept) for of in ("predictor", "negative") for kept in KEPT),
    *(("anchor", kept) for kept in KEPT if "basic" not in kept),  # which has none
]
NO_PREDICTOR = "method.predictor.kind=identity"


def overrides(of: str, kept: set[str]) -> list[str]:
    switches = [f"method.extra_gradient.{part}={str(part in kept).lower()}" for part in PARTS]
    return ["method.similarity=dot", f"method.extra_gradient.of={of}", *switches]


@pytest.mark.parametrize(
    ("of", "kept"), CASES, ids=lambda case: case if isinstance(case, str) else "+".join(sorted(case))
)
def test_parts_of_the_target_against_a_loop(of: str, kept: set[str]) -> None:
    predictor = [] if of == "predictor" else [NO_PREDICTOR]
    method, views = build("simsiam", *overrides(of, kept), *predictor).double(), make_views(images=7)
    views = [view.double() for view in views]
    z = [method.encoder(view) for view in views]
    p = [method.predictor(z_i) for z_i in z]
    expected = naive.parts_loss(p, z, of, kept)
    expected.backward()
    wanted = {name: gradient.clone() for name, gradient in gradients(method).items() if gradient is not None}
    method.zero_grad()
    loss = method.loss(views, index(7)).loss
    loss.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients(method).items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-6)


def test_all_parts_of_simsiam_are_simsiam() -> None:
    """Z_j = P_j + (Z_j - P_j): with everything kept the loss and every gradient are those of the cosine."""
    whole, parts = build("simsiam"), build("simsiam", *overrides("predictor", set(PARTS)))
    losses = [method.loss(make_views(), index()).loss for method in (whole, parts)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    expected = gradients(whole)
    assert all(gradient.abs().max() > 0 for gradient in expected.values())
    for name, gradient in gradients(parts).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-7)


def test_a_plain_dot_product_reads_the_targets_length() -> None:
    method, views = build("simsiam", "method.similarity=dot"), make_views()
    z = [method.encoder(view) for view in views]
    p = [normalize(method.predictor(z_i), dim=1) for z_i in z]
    expected = -((p[0] * z[1].detach()).sum(dim=1).mean() + (p[1] * z[0].detach()).sum(dim=1).mean()) / 2
    torch.testing.assert_close(method.loss(views, index()).loss, expected)
    assert not torch.isclose(build("simsiam").loss(views, index()).loss, expected)


def ratios(z: Tensor) -> tuple[float, float]:
    """m_o = |o| and m_r = mean |Z - o|."""
    unit = z.detach() / z.detach().norm(dim=1, keepdim=True)
    center = unit.mean(dim=0)
    return float(center.norm()), float((unit - center).norm(dim=1).mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("part", ["center", "residual"])
def test_conjecture_1_on_free_embeddings(part: str, seed: int) -> None:
    """Zhang et al.: -Z . sg(o) alone raises m_o, -Z . sg(r) alone raises m_r, in each of ten SGD steps, no network."""
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randn(1, 8, generator=generator, dtype=torch.float64)
    z = torch.randn(32, 8, generator=generator, dtype=torch.float64) + offset
    z.requires_grad_()
    others = dict.fromkeys({"center", "residual"} - {part}, False)
    target, similarity = build_target(ExtraGradientConfig(of="anchor", basic=False, **others)), Dot()
    optimizer = torch.optim.SGD([z], lr=30.0)
    center, residual = ratios(z)
    begun = (center, residual)
    for _ in range(10):
        optimizer.zero_grad()
        similarity(z, target({0: z}, {}, 0, 1).detach(), None).backward()
        optimizer.step()
        now = ratios(z)
        if part == "center":
            assert now[0] > center
            assert now[1] < residual
        else:
            assert now[0] < center
            assert now[1] > residual
        center, residual = now
    assert abs(center - begun[0]) > 0.05  # not by rounding


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["similarity=dot", "stop_gradient=false"], "would fall without end"),
        (["extra_gradient.center=false"], "takes nothing apart, and never reads basic=true, center=false"),
        (["extra_gradient.of=predictor"], "similarity=cosine; set similarity=dot"),
        (
            [
                "similarity=dot",
                "extra_gradient={of: negative, basic: false, center: false, residual: false}",
            ],
            "needs a part that is kept",
        ),
        (
            ["similarity=dot", "extra_gradient.of=negative", "predictor.on=both"],
            "with the predictor on the anchor",
        ),
        (["similarity=dot", "extra_gradient.of=anchor"], "has no basic gradient"),
        (
            [
                "similarity=dot",
                "extra_gradient={of: anchor, basic: false}",
                "momentum_encoder.enabled=true",
                "assignment=moving_average",
            ],
            "momentum_encoder.enabled=true, assignment=moving_average; set momentum_encoder.enabled=false",
        ),
        (["similarity=dot", "extra_gradient.of=predictor", "predictor.kind=identity"], "makes zero"),
        (
            ["similarity=dot", "extra_gradient.of=predictor", "symmetric=false"],
            "the prediction of both views",
        ),
    ],
)
def test_contradictions(changes: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose(["method=simsiam", "data=cifar10", *(f"method.{change}" for change in changes)])
