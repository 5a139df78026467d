"""Targets that are distributions: DINO's and ReSSL's steps against loops, and each switch of theirs by itself."""

from __future__ import annotations

import pytest
import torch
from helpers.methods import build, index, make_views, progress
from reference import naive_distributions as naive
from torch import Tensor
from torch.nn.functional import log_softmax, normalize, softmax

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.equation import Siamese
from ssl_zoo.training.optim import build_optimizer

SGD = OptimizerConfig(lr=0.5, lr_scaling="none", weight_decay=0.0, momentum=0.0)
DINO = ("method.prototypes.number=7", "method.momentum_encoder.decay=0.9")
WARMUP = ("method.sharpening={temperature: 0.04, warmup_temperature: 0.08, warmup_epochs: 3}",)
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def weights(method: Siamese, encoder: str, prototypes: str = "") -> naive.Weights:
    """An encoder's weights by the reference's names, in float64, and the prototypes where they are named."""
    module = method.get_submodule(encoder)
    found = {name: p.detach().double().clone() for name, p in module.named_parameters()}
    if prototypes:
        found["prototypes"] = method.get_submodule(prototypes).weight.detach().double().clone()
    return found


def encode(activation: str) -> naive.Encode:
    """The linear backbone of the tests, and a projector of two or three layers without BN."""
    function = naive.gelu if activation == "gelu" else torch.relu

    def forward(w: naive.Weights, x: Tensor) -> Tensor:
        z = x.double().flatten(1) @ w["backbone.linear.weight"].T + w["backbone.linear.bias"]
        layers = sorted({name.rsplit(".", 1)[0] for name in w if name.startswith("projector")})
        for layer in layers:
            z = z @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]
            z = z if layer == layers[-1] else function(z)
        return z

    return forward


def assert_same(ours: naive.Weights, expected: naive.Weights) -> None:
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


def gradients(method: Siamese) -> naive.Weights:
    found = {name: p.grad.double().clone() for name, p in method.encoder.named_parameters()}
    weight = method.prototypes.weight
    return found if weight is None else {**found, "prototypes": weight.grad.double().clone()}


def take_step(method: Siamese, optimizer: torch.optim.Optimizer, views: list[Tensor], step: int) -> Tensor:
    """One optimizer step as the trainer takes it, two to an epoch; gradients stay."""
    where = progress(step, total=8, per_epoch=2)
    method.before_step(where)
    optimizer.zero_grad()
    loss = method.loss(views, index()).loss
    loss.backward()
    method.after_backward(where)
    optimizer.step()
    method.after_step(where)
    return loss.detach().double()


@pytest.mark.parametrize("views", [2, 4])
def test_dinos_steps_are_the_papers(views: int) -> None:
    """Four steps: prototypes frozen for the first two, a temperature that warms up, small crops that only predict."""
    method = build("dino", *DINO, *WARMUP)
    optimizer = build_optimizer(SGD, method, 6)
    with torch.no_grad():  # a teacher apart from its student
        for parameter in (*method.target_encoder.parameters(), *method.target_prototypes.parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter))
    student = weights(method, "encoder", "prototypes")
    teacher = weights(method, "target_encoder", "target_prototypes")
    center = torch.zeros(7, dtype=torch.float64)
    for step in range(4):
        batch = make_views(views, seed=step)
        momentum = (
            1 - 0.1 * (1 + torch.cos(torch.tensor(torch.pi * step / 8, dtype=torch.float64)).item()) / 2
        )
        expected = naive.dino_step(
            encode("gelu"), student, teacher, center, batch, large=2, lr=0.5, momentum=momentum, tau_s=0.1,
            tau_t=naive.teacher_temperature(0.08, 0.04, 3, step // 2), center_momentum=0.9, frozen=step < 2,
        )  # fmt: skip
        loss = take_step(method, optimizer, batch, step)
        torch.testing.assert_close(loss, expected.loss, **CLOSE)
        assert_same(gradients(method), expected.gradients)
        _, _, student, teacher, center = expected
        assert_same(weights(method, "encoder", "prototypes"), student)
        assert_same(weights(method, "target_encoder", "target_prototypes"), teacher)
        torch.testing.assert_close(method.assign.center.double(), center, **CLOSE)
    assert (center.abs() > 1e-3).all()


def test_ressls_steps_are_the_codes() -> None:
    """Three steps; the queue of ten vectors wraps."""
    method = build("ressl", "method.momentum_encoder.decay=0.9")
    optimizer = build_optimizer(SGD, method, 6)
    with torch.no_grad():
        for parameter in method.target_encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    query, key = weights(method, "encoder"), weights(method, "target_encoder")
    queue, pointer = method.negatives.store.vectors.double().clone(), 0
    for step in range(3):
        strong, weak = make_views(seed=step)
        expected = naive.ressl_step(
            encode("relu"),
            query,
            key,
            queue,
            pointer,
            strong,
            weak,
            lr=0.5,
            momentum=0.9,
            tau_s=0.1,
            tau_t=0.04,
        )
        loss = take_step(method, optimizer, [strong, weak], step)
        torch.testing.assert_close(loss, expected.loss, **CLOSE)
        assert_same(gradients(method), expected.gradients)
        _, _, query, key, queue, pointer = expected
        assert_same(weights(method, "encoder"), query)
        assert_same(weights(method, "target_encoder"), key)
        torch.testing.assert_close(method.negatives.store.vectors.double(), queue, **CLOSE)
        assert int(method.negatives.store.pointer) == pointer


def test_symmetric_relations_are_the_mean_of_both_orders() -> None:
    method, views = build("ressl", "method.symmetric=true"), make_views()
    q = [method.encoder(view) for view in views]
    with torch.no_grad():
        k = [method.target_encoder(view) for view in views]
    queue = method.negatives.store.vectors
    terms = [naive.ressl(q[i], k[j], queue, 0.1, 0.04) for i, j in ((0, 1), (1, 0))]
    torch.testing.assert_close(method.loss(views, index()).loss, torch.stack(terms).mean(), **CLOSE)


def test_relations_without_stop_gradient_train_the_target_too() -> None:
    overrides = ("method.stop_gradient=false", "method.momentum_encoder.enabled=false")
    method, (strong, weak) = build("ressl", *overrides), make_views()
    q, k = (
        normalize(method.encoder(view), dim=1) @ method.negatives.store.vectors.T for view in (strong, weak)
    )
    expected = -(softmax(k / 0.04, dim=1) * log_softmax(q / 0.1, dim=1)).sum(dim=1).mean()
    ours = method.loss([strong, weak], index()).loss
    torch.testing.assert_close(ours, expected, **CLOSE)
    weight = method.encoder.backbone.linear.weight
    torch.testing.assert_close(*(torch.autograd.grad(loss, weight)[0] for loss in (ours, expected)), **CLOSE)


def test_a_centre_of_decay_1_is_none() -> None:
    """Then centring is the identity, and without a temperature of its own the target is as in SimSiam, Sec. 4.5."""
    off = ("method.centering.decay=1", "method.sharpening.temperature=null")
    centred, plain = build("dino", *DINO, *off), build("dino", *DINO, off[1], "method.assignment=identity")
    losses = []
    for method in (centred, plain):
        optimizer = build_optimizer(SGD, method, 6)
        losses.append([take_step(method, optimizer, make_views(seed=step), step) for step in range(3)])
    assert losses[0] == losses[1]
    assert not centred.assign.center.any()


def test_the_centre_is_over_all_batches_of_a_step() -> None:
    method = build("dino", *DINO)
    batches = [make_views(seed=seed) for seed in (1, 2)]
    with torch.no_grad():
        scores = [
            method.target_prototypes(method.target_encoder(view)) for batch in batches for view in batch
        ]
        for batch in batches:
            method.loss(batch, index())
    assert not method.assign.center.any(), "it moved within a step"
    method.after_step(progress())
    torch.testing.assert_close(method.assign.center, 0.1 * torch.cat(scores).mean(dim=0), **CLOSE)
    method.eval()
    with torch.no_grad():
        method.loss(batches[0], index())
    assert not method.assign.noted, "a loss that is measured moves nothing"


def test_under_autocast_the_centre_is_of_float32_scores() -> None:
    method, views = build("dino", *DINO), make_views()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        z = torch.cat([method.target_encoder(view) for view in views])
        method.loss(views, index())
    method.after_step(progress())
    assert z.dtype == torch.bfloat16
    torch.testing.assert_close(
        method.assign.center, 0.1 * method.target_prototypes(z.float()).mean(dim=0).detach()
    )


@pytest.mark.parametrize(
    ("start", "end", "epochs"), [(0.04, 0.07, 30), (0.08, 0.04, 3), (0.05, 0.1, 1), (0.05, 0.1, 2)]
)
def test_the_temperature_warms_up_once_per_epoch(start: float, end: float, epochs: int) -> None:
    block = f"{{temperature: {end}, warmup_temperature: {start}, warmup_epochs: {epochs}}}"
    sharpen = build("dino", *DINO, f"method.sharpening={block}").similarity.sharpen
    for step in range(2 * epochs + 4):
        sharpen.before_step(progress(step, total=1000, per_epoch=2))
        assert sharpen.temperature == pytest.approx(naive.teacher_temperature(start, end, epochs, step // 2))


def test_dino_trains_a_transformer_on_small_crops() -> None:
    small = [
        "backbone.stem=standard",
        "method.projector.hidden_dim=16",
        "method.projector.output_dim=8",
        "method.prototypes.number=7",
    ]
    views = ["augment.size=32", "augment.views={large: {count: 2}, small: {count: 2, size: 16}}"]
    method = ssl_zoo.build_method(
        ["method=dino", "data=cifar10", "recipe=null", "backbone.name=test_vit", *small, *views]
    )
    batch = [torch.randn(4, 3, size, size) for size in (32, 32, 16, 16)]
    method.before_step(progress())
    method.loss(batch, index(4)).loss.backward()
    method.after_step(progress())
    assert method.encoder.backbone.pos_embed.grad.any()


def test_shared_prototypes_are_the_students() -> None:
    """As in SwAV; the targets' own are a copy that no gradient reaches and that follows the encoder's decay."""
    shared = build("dino", *DINO, "method.momentum_encoder.prototypes=false")
    own = build("dino", *DINO)
    assert shared.target_prototypes is None
    assert shared.assign.prototypes is shared.prototypes
    assert own.assign.prototypes is own.target_prototypes
    assert {*own.state_dict()} - {*shared.state_dict()} == {"target_prototypes.weight"}
    outside = build(
        "dino", *DINO, "method.prototypes.normalization=outside", "method.momentum_encoder.decay=0"
    )
    optimizer = build_optimizer(SGD, outside, 6)
    for step in range(3):
        take_step(outside, optimizer, make_views(seed=step), step + 2)
    outside.before_step(progress())
    torch.testing.assert_close(outside.target_prototypes.weight.norm(dim=1), torch.ones(7))


@pytest.mark.parametrize(
    ("method", "overrides", "reason"),
    [
        ("simclr", ["similarity=relational"], "negatives=batch; set negatives=queue"),
        ("ressl", ["negatives=none"], "negatives=none; set negatives=queue"),
        ("dino", ["similarity=cosine", "prototypes.number=0"], "set similarity=cross_entropy"),
        ("simsiam", ["sharpening.temperature=0.1"], "similarity=cosine, assignment=identity take none"),
        ("swav", ["sharpening.temperature=0.1"], "assignment=sinkhorn take none"),
        ("dino", ["sharpening.warmup_epochs=3"], "sharpening.warmup_temperature=null; set it"),
        ("dino", ["sharpening.warmup_temperature=0.1"], "sharpening.warmup_epochs=0; set both"),
        ("byol", ["momentum_encoder.prototypes=true"], "prototypes.number=0; set momentum_encoder.prototypes=false"),
        ("swav", ["momentum_encoder.prototypes=true"], "momentum_encoder.enabled=false, prototypes.number=3000"),
    ],
)  # fmt: skip
def test_contradictions(method: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={method}", "recipe=null", *(f"method.{override}" for override in overrides)])
