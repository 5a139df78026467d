"""Each method's loss has the gradient that UniGrad's unified form says, in float64; and the form as a method itself."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.methods import build, index, make_views, progress
from helpers.two_processes import barlow_twins
from reference import naive_correlation, naive_losses
from reference import unified_gradient as unified
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.compose import compose
from ssl_zoo.equation import Siamese

UNIGRAD = ("method.similarity=gradient", "method.negatives=correlation", "method.predictor.kind=identity")
LINEAR = ("method.predictor.kind=linear", "method.predictor.bias_output=false")
IMAGES, DIM = 6, 8


@pytest.fixture(autouse=True)
def in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The equation computes its terms in float32; here it must not."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)


def units(method: Siamese) -> tuple[list[Tensor], list[Tensor]]:
    """Unit z and z' of two views, the first leaves, as a method whose encoder is the identity sees them."""
    z = [normalize(torch.randn(IMAGES, DIM, dtype=torch.float64), dim=1).requires_grad_() for _ in range(2)]
    method.double()
    method.encoder = nn.Identity()  # type: ignore[assignment]
    if method.target_encoder is None:
        return z, [u.detach() for u in z]
    turned, _ = torch.linalg.qr(torch.randn(DIM, DIM, dtype=torch.float64))
    method.target_encoder = nn.Linear(DIM, DIM, bias=False, dtype=torch.float64)  # type: ignore[assignment]
    method.target_encoder.weight.data.copy_(turned)
    return z, [(u @ turned.T).detach() for u in z]


def check(method: Siamese, z: list[Tensor], expected: list[Tensor | None]) -> None:
    """Compares the gradient of the loss, for each view (N, D), but for the factor of a mean over pairs and images."""
    torch.manual_seed(1)
    method.loss(z, index(IMAGES)).loss.backward()
    pairs = sum(part is not None for part in expected)
    for u, part in zip(z, expected, strict=True):
        if part is not None:
            form = torch.stack([unified.tangent(g, a) for g, a in zip(part, u.detach(), strict=True)])
            form = form * method.config.loss_scale / (pairs * IMAGES)
            torch.testing.assert_close(u.grad, form, rtol=1e-9, atol=1e-9)
            assert form.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["simsiam", "byol"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_asymmetric_methods(name: str, symmetric: bool) -> None:
    method = build(name, *LINEAR, f"method.predictor.symmetric={symmetric}")
    z, targets = units(method)
    w = method.predictor.layers[0].weight.detach()
    check(method, z, [each(z[i], targets[1 - i], w) for i in (0, 1)])


def each(anchors: Tensor, positives: Tensor, w: Tensor, wtw: Tensor | None = None) -> Tensor:
    rows = zip(anchors.detach(), positives, strict=True)
    return torch.stack([unified.asymmetric(u, t, w, wtw) for u, t in rows])


def test_with_directpred_the_negative_term_is_the_correlation() -> None:
    """W^T W = F / max s where eps = 0: the step from BYOL's gradient to the unified one."""
    method = build("byol", "method.predictor.kind=direct", "method.predictor.direct.eps=0")
    z, targets = units(method)
    torch.manual_seed(2)
    crowd = [torch.randn(40, DIM, dtype=torch.float64) for _ in range(2)]
    method.loss(crowd, index(40))
    method.predictor.update(progress(0))
    f = method.predictor.correlation.matrix
    scaled = f / torch.linalg.matrix_norm(f, 2)
    w = method.predictor.linear.weight.detach()
    check(method, z, [each(z[i], targets[1 - i], w, scaled) for i in (0, 1)])


def test_moco() -> None:
    method = build("moco")
    z, targets = units(method)
    queue = list(method.negatives.store.vectors)
    rows = zip(z[0].detach(), targets[1], strict=True)
    first = torch.stack([unified.contrastive(u, t, queue, method.config.temperature) for u, t in rows])
    check(method, z, [first, None])


@pytest.mark.parametrize("stop_gradient", [False, True])
def test_simclr_gets_a_gradient_as_anchor_and_as_target(stop_gradient: bool) -> None:
    method = build("simclr", f"method.stop_gradient={stop_gradient}")
    z, _ = units(method)
    tau = method.config.temperature
    # In the batch's order: of u all others, of which the one of the same image is the positive.
    batch = [u for view in z for u in view.detach()]
    others = [[v for m, v in enumerate(batch) if m != n] for n in range(len(batch))]
    gradients = []
    for n, u in enumerate(batch):
        partner = batch[(n + IMAGES) % len(batch)]
        negatives = [v for v in others[n] if v is not partner]
        gradient = unified.contrastive(u, partner, negatives, tau)
        if not stop_gradient:
            seen = [others[m] for m in range(len(batch)) if m != n]
            gradient = gradient + unified.contrastive_target(u, partner, others[n], seen, tau)
        gradients.append(gradient)
    check(method, z, list(torch.stack(gradients).split(IMAGES)))


def test_swav() -> None:
    method = build("swav", "method.prototypes.number=5")
    z, targets = units(method)
    prototypes, config = method.prototypes.weight.detach(), method.config
    expected: list[Tensor | None] = []
    for i in (0, 1):
        scores = targets[1 - i] @ prototypes.T
        codes = naive_losses.sinkhorn(scores, config.sinkhorn.epsilon, config.sinkhorn.iterations)
        rows = zip(z[i].detach(), codes, strict=True)
        expected.append(
            torch.stack([unified.prototypical(u, q, prototypes, config.temperature) for u, q in rows])
        )
    check(method, z, expected)


def test_barlow_twins() -> None:
    """The example plugin. What standardisation takes out of a channel: its mean, and what goes along its values."""
    method = barlow_twins().double()
    method.encoder = nn.Identity()  # type: ignore[assignment]
    z = [torch.randn(IMAGES, DIM, dtype=torch.float64).requires_grad_() for _ in range(2)]
    method.loss(z, index(IMAGES)).loss.backward()
    spread = [
        (view.detach().var(dim=0, correction=0) + 1e-5).sqrt() for view in z
    ]  # lightly's, with BN's epsilon
    u = [(view.detach() - view.detach().mean(dim=0)) / s for view, s in zip(z, spread, strict=True)]
    for i in (0, 1):
        g = torch.stack([unified.decorrelating(u[i], u[1 - i], n, 5e-3) for n in range(IMAGES)])
        g = (g - g.mean(dim=0) - u[i] * (g * u[i]).mean(dim=0)) / spread[i]
        torch.testing.assert_close(z[i].grad, g, rtol=1e-9, atol=1e-9)


def test_unigrad_is_the_form_itself() -> None:
    """The first step's F is the targets' own correlation."""
    method = build("byol", *UNIGRAD, "method.unified.weight=7")
    z, targets = units(method)
    f = naive_correlation.correlation(targets)
    check(method, z, list(naive_correlation.unigrad([u.detach() for u in z], targets, f, 7.0)))


def test_unigrads_steps_against_its_code() -> None:
    """Loss and gradient of four steps, of two batches each from the second on; F holds the batch that reads it."""
    method = build("byol", *UNIGRAD, "method.unified={weight: 3.0, rho: 0.6}", "method.loss_scale=1").double()
    f: Tensor | None = None
    for step in range(4):
        batches = [
            [v.double() for v in make_views(2, IMAGES, seed=9 * step + b)] for b in range(1 + (step > 0))
        ]
        seen = []
        for views in batches:
            z = [normalize(copy.deepcopy(method.encoder)(view), dim=1) for view in views]
            targets = [normalize(method.target_encoder(view), dim=1).detach() for view in views]
            seen += targets
            current = naive_correlation.moved(f, targets, 0.6)
            g = naive_correlation.unigrad([u.detach() for u in z], targets, current, 3.0)
            expected = sum((g_i * z_i).sum(dim=1).mean() for g_i, z_i in zip(g, z, strict=True)) / 2
            torch.testing.assert_close(method.loss(views, index(IMAGES)).loss, expected)
        method.after_step(progress(step))
        f = naive_correlation.moved(f, seen, 0.6)
        torch.testing.assert_close(method.negatives.correlation.matrix, f)
        with torch.no_grad():
            for p in method.encoder.parameters():
                p.add_(0.1 * (-1) ** step)
    assert "negatives.correlation.matrix" in method.state_dict()


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("simsiam", ["similarity=gradient"], "go together, and they are gradient and none"),
        ("moco", ["similarity=gradient"], "go together, and they are gradient and queue"),
        ("simclr", ["negatives=correlation"], "go together, and they are info_nce and correlation"),
        ("simsiam", ["negatives=correlation"], "never reads negatives"),
        ("simclr", ["similarity=gradient", "negatives=correlation"], "set stop_gradient=true"),
    ],
)
def test_contradictions(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override}" for override in overrides)])
