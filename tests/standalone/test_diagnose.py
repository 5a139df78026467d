"""The diagnosis of tensors: verdict, what the loss's graph shows, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, SwaVLoss, VICRegLoss
from torch import Tensor, nn

from ssl_zoo import UserError, diagnose
from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.standalone.graph import read_graph

torch.manual_seed(0)
N, D = 64, 8
APART = torch.randn(N, D)
NEAR = APART + 0.1 * torch.randn(N, D)
EQUAL = torch.ones(N, D) + 1e-4 * torch.randn(N, D)
LINE = torch.linspace(-1, 1, N)[:, None] * torch.randn(D)


@pytest.mark.parametrize(
    ("z", "verdict"),
    [((APART, NEAR), "healthy"), ((EQUAL, EQUAL), "collapsed"), ((LINE, LINE), "partially collapsed"),
     ((APART * torch.nan, APART), "diverged")],
)  # fmt: skip
def test_verdicts(z: tuple[Tensor, Tensor], verdict: str) -> None:
    found = diagnose(*z)
    assert found.verdict == verdict
    assert str(found).startswith(f"{verdict.upper()}: ")
    assert f">{verdict.upper()}<" in found._repr_html_()
    assert (found.cause is None) == (verdict == "healthy")
    if verdict != "diverged":
        assert dict(found.metrics) == measure_embeddings(*z)


def test_against_the_start() -> None:
    torch.manual_seed(1)  # other draws than APART's
    apart = APART + 2 * torch.randn(N, D)
    start = diagnose(APART, apart)
    assert diagnose(APART, NEAR, before=start).verdict == "healthy"
    same = diagnose(APART, apart, before=start, epochs=3)
    assert same.verdict == "not learning"
    assert "after 3 epochs, against the diagnosis before" in same.reason
    cone = diagnose(EQUAL, EQUAL + 1e-4 * torch.randn(N, D))
    out_of_it = 30 * EQUAL - 29  # a cone still, but ten times as wide
    assert diagnose(out_of_it, out_of_it + 1e-3 * torch.randn(N, D), before=cone).verdict == "healthy"
    twice = diagnose(APART, APART, before=diagnose(APART, APART))
    assert (twice.verdict, str(twice.cause).partition(":")[0]) == ("not learning", "identical views")
    weak = diagnose(APART, NEAR)
    assert diagnose(APART, NEAR, before=weak).verdict == "healthy"  # weak views tell nothing of learning
    assert diagnose(EQUAL, EQUAL, loss=[1.0, float("nan")]).verdict == "diverged"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((APART, APART[:10]), r"floats of one shape \(N, D\).*received torch.float32 \(64, 8\) and torch.float32 \(10"),
     ((APART[:8], APART[:8]), r"at least 16 images and 2 channels; received \(8, 8\)"),
     ((APART[:, :, None], APART[:, :, None]), r"received torch.float32 \(64, 8, 1\)"),
     (("z", APART), r"received 'z' and torch.float32")],
)  # fmt: skip
def test_wrong_input_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        diagnose(*arguments)
    with pytest.raises(
        UserError, match=r"predictions must be .* \(64, 8\); received torch.float32 \(64, 3\)"
    ):
        diagnose(APART, NEAR, predictions=APART[:, :3])
    with pytest.raises(UserError, match="loss must be a number or a history"):
        diagnose(APART, NEAR, loss=[])
    with pytest.raises(UserError, match="before must be what diagnose returned"):
        diagnose(APART, NEAR, before={})  # type: ignore[arg-type]


def test_a_view_that_was_passed_twice_is_no_healthy_pair() -> None:
    twice = diagnose(APART, APART.clone())
    assert (twice.verdict, str(twice.cause).partition(":")[0]) == ("not learning", "identical views")
    assert diagnose(EQUAL, EQUAL).verdict == "collapsed"
    assert "identical" not in str(diagnose(EQUAL, EQUAL).cause)


class OwnBackward(torch.autograd.Function):
    """InfoNCE whose backward pass is its own, as a compiled loss's is."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        return -(z @ z.T).logsumexp(1).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return torch.zeros(N, D)


def test_what_the_graph_does_not_show_is_not_stated() -> None:
    (z0, z1), (p0, _), _ = outputs()
    hidden = OwnBackward.apply(z0)  # type: ignore[no-untyped-call]
    assert not any("no images" in each for each in diagnose(z0, z1, loss=hidden).evidence)
    unnamed = diagnose(z0, z1, loss=-nn.functional.cosine_similarity(p0, z1.detach()).mean())
    assert "trained layers stand between the embeddings and the loss" in unnamed.evidence
    elsewhere = diagnose(z0.detach(), z1.detach(), loss=-nn.functional.cosine_similarity(z0, z1).mean())
    assert elsewhere.evidence == (
        "the loss has no gradient through the embeddings: are they those that it compares?",
    )
    by_hand = torch.exp((z0[:, None] * z1).sum(-1)).sum(1).log().mean()
    assert "the loss compares the images of a batch" in diagnose(z0, z1, loss=by_hand).evidence


def outputs() -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Embeddings, predictions and targets of two views, with graph but for the targets."""
    encoder, predictor, x = nn.Linear(D, D), nn.Linear(D, D), (APART, NEAR)
    z = [encoder(each) for each in x]
    with torch.no_grad():
        targets = [encoder(each) for each in x]
    return z, [predictor(each) for each in z], targets


cosine = NegativeCosineSimilarity()
PROTOTYPES = torch.randn(D, 5)
# The loss of embeddings z, predictions p and targets t; whether it reaches the embeddings beside the predictor and
# whether it compares images.
LOSSES: dict[str, tuple[Callable[..., Tensor], bool, bool]] = {
    "simsiam": (lambda z, p, t: cosine(p[0], z[1].detach()) + cosine(p[1], z[0].detach()), False, False),
    "no stop-gradient": (lambda z, p, t: cosine(p[0], z[1]) + cosine(p[1], z[0]), True, False),
    "one term without it": (lambda z, p, t: cosine(p[0], z[1].detach()) + cosine(p[1], z[0]), True, False),
    "byol": (lambda z, p, t: cosine(p[0], t[1]) + cosine(p[1], t[0]), False, False),
    "no predictor": (lambda z, p, t: cosine(z[0], t[1]), True, False),
    "simclr": (lambda z, p, t: NTXentLoss()(*z), True, True),
    "barlow twins": (lambda z, p, t: BarlowTwinsLoss()(*z), True, True),
    "vicreg": (lambda z, p, t: VICRegLoss()(*z), True, True),
    "swav": (lambda z, p, t: SwaVLoss()([each @ PROTOTYPES for each in z], []), True, True),
    "dino": (lambda z, p, t: DINOLoss(output_dim=D)(t, z, epoch=0), True, True),
    "a classifier beside it": (
        lambda z, p, t: (
            cosine(p[0], z[1].detach())
            + nn.functional.cross_entropy(nn.Linear(D, 3)(z[0].detach()), torch.zeros(N, dtype=torch.long))
        ),
        False,
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_the_graph_shows_stop_gradient_and_negatives(name: str) -> None:
    loss, beside, compares = LOSSES[name]
    z, p, t = outputs()
    graph = read_graph(loss(z, p, t), z, p, t)
    assert graph is not None
    assert (graph.reaches_embeddings, graph.couples_images, graph.reaches_targets) == (
        beside,
        compares,
        False,
    )


def test_causes_that_the_graph_proves() -> None:
    z, p, t = outputs()
    flat = [each * 0 + 1 for each in z]
    identity = diagnose(*flat, predictions=(flat[0], flat[1]), loss=cosine(flat[0], flat[1].detach()))
    assert str(identity.cause).startswith("nothing keeps images apart")
    through = diagnose(*flat, predictions=(p[0], p[1]), loss=cosine(p[0], flat[1]))
    assert str(through.cause).startswith("no stop-gradient: the loss has a gradient through the embeddings")
    assert "no stop-gradient" in str(through.evidence)
    attraction = diagnose(*flat, loss=cosine(*flat))
    assert str(attraction.cause).startswith("nothing keeps images apart")
    targets = [each.requires_grad_() * 1 for each in t]
    momentum = diagnose(*flat, targets=(targets[0], targets[1]), loss=cosine(flat[0], targets[1]))
    assert str(momentum.cause).startswith("gradient through the target encoder")
    right = diagnose(*z, predictions=(p[0], p[1]), loss=cosine(p[0], z[1].detach()))
    assert right.evidence[0] == "the loss has a predictor, and a gradient through it alone: stop-gradient"
