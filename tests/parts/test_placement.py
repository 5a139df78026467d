"""Where the predictor stands, against loops in which stop-gradient is a second copy of the weights."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from reference import naive_zhang as naive
from torch import Tensor, nn

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.equation import Siamese
from ssl_zoo.run_dir.naming import variant
from ssl_zoo.training.optim import build_optimizer

INVERSE = ("method.predictor.on=both", "method.predictor.inverse=true")


def assert_same_loss_and_gradients(method: Siamese, loss: Tensor, expected: Tensor, live: nn.Module) -> None:
    """`live` holds copies of the encoder and the heads under the names that they have in the method."""
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for name, module in live.named_children():
        for key, gradient in gradients(module).items():
            torch.testing.assert_close(method.get_submodule(name).get_parameter(key).grad, gradient, msg=key)


def reference(method: Siamese, on: str, views: list[Tensor]) -> tuple[Tensor, nn.ModuleDict]:
    parts = {"encoder": method.encoder, "predictor": method.predictor}
    live, fixed = (nn.ModuleDict(copy.deepcopy(parts)) for _ in range(2))
    z, z_fixed = ([part["encoder"](view) for view in views] for part in (live, fixed))
    if on == "target":
        return naive.mirror(z, z_fixed, live["predictor"]), live
    return naive.both_sides(z, z_fixed, live["predictor"], fixed["predictor"]), live


@pytest.mark.parametrize("on", ["target", "both"])
@pytest.mark.parametrize("kind", ["mlp", "linear", "bias"])
def test_the_predictor_on_the_target_and_on_both_sides(on: str, kind: str) -> None:
    method = build("simsiam", f"method.predictor.on={on}", f"method.predictor.kind={kind}")
    with torch.no_grad():
        for parameter in method.predictor.parameters():
            parameter.add_(
                0.3 * torch.randn_like(parameter)
            )  # a bias starts at 0, where both sides are alike
    expected, live = reference(method, on, make_views())
    loss = method.loss(make_views(), index()).loss
    assert_same_loss_and_gradients(method, loss, expected, live)
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients(method.predictor).values())


@pytest.mark.parametrize(("on", "by_anchor", "by_target"), [("target", False, True), ("both", True, True)])
def test_a_momentum_encoders_targets_pass_the_predictor_too(
    on: str, by_anchor: bool, by_target: bool
) -> None:
    method = build("byol", f"method.predictor.on={on}", "method.symmetric=false")
    with torch.no_grad():
        for parameter in method.target_encoder.parameters():
            parameter.mul_(1.5)
    first, second = make_views()
    h = copy.deepcopy(method.predictor)
    p = copy.deepcopy(method.encoder)(first)
    t = copy.deepcopy(method.target_encoder)(second)
    p, t = h(p) if by_anchor else p, h(t) if by_target else t
    terms = [naive.negative_cosine(a, b) for a, b in zip(p, t, strict=True)]
    torch.testing.assert_close(
        method.loss([first, second], index()).loss, method.config.loss_scale * torch.stack(terms).mean()
    )


@pytest.mark.parametrize("kind", ["mlp", "linear", "bias"])
@pytest.mark.parametrize("name", ["simsiam", "byol"])
def test_the_inverse_predictor(name: str, kind: str) -> None:
    """Loss and gradients of encoder, h and h_inv; BYOL's momentum encoder stands where SimSiam has a copy."""
    overrides = ("method.projector.hidden_dim=64", f"method.predictor.kind={kind}", *INVERSE)
    method, views = build(name, *overrides), make_views()
    with torch.no_grad():
        for parameter in method.h.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    parts = {"encoder": method.encoder, "predictor": method.predictor, "inverse": method.h.inverse}
    live, fixed = (nn.ModuleDict(copy.deepcopy(parts)) for _ in range(2))
    z, z_fixed = ([part["encoder"](view) for view in views] for part in (live, fixed))
    main, own = naive.inverse(
        z, z_fixed, live["predictor"], fixed["predictor"], live["inverse"], fixed["inverse"]
    )
    loss = method.loss(views, index()).loss
    expected = method.config.loss_scale * (main + own)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for part, ours in (
        ("encoder", method.encoder),
        ("predictor", method.predictor),
        ("inverse", method.h.inverse),
    ):
        for key, gradient in gradients(live[part]).items():
            torch.testing.assert_close(ours.get_parameter(key).grad, gradient, msg=f"{part}.{key}")
    assert any(gradient.abs().max() > 1e-3 for gradient in gradients(method.h.inverse).values())


def test_the_inverse_learns_from_the_anchors_views() -> None:
    method, views = build("simsiam", *INVERSE, "method.symmetric=false"), make_views()
    z = [copy.deepcopy(method.encoder)(view) for view in views]
    p = copy.deepcopy(method.predictor)(z[0])
    recovered = copy.deepcopy(method.h.inverse)(p)
    own = torch.stack([naive.negative_cosine(a, b) for a, b in zip(recovered, z[0], strict=True)]).mean()
    torch.testing.assert_close(method.h.inverse_loss({0: z[0]}, {0: p}, method.sg), own)
    target = copy.deepcopy(method.h.inverse)(copy.deepcopy(method.predictor)(z[1]))
    main = torch.stack([naive.negative_cosine(a, b) for a, b in zip(p, target, strict=True)]).mean()
    torch.testing.assert_close(method.loss(views, index()).loss, main + own)


def test_the_inverse_learns_to_undo_the_predictor() -> None:
    """Where encoder and h stand still, and h is an invertible matrix, h_inv h tends to the identity but for a scale."""
    method = build("simsiam", *INVERSE, "method.predictor.kind=linear", "method.predictor.trainable=false")
    method.encoder.requires_grad_(False)
    with torch.no_grad():
        method.predictor.layers[0].weight.add_(2 * torch.eye(8))
    optimizer = torch.optim.Adam(method.h.parameters(), lr=0.02)
    before = method.h.inverse.layers[0].weight @ method.predictor.layers[0].weight
    for step in range(120):
        optimizer.zero_grad()
        method.loss(make_views(images=32, seed=step % 3), index(32)).loss.backward()
        optimizer.step()
    product = method.h.inverse.layers[0].weight @ method.predictor.layers[0].weight
    identity = torch.eye(8).flatten()
    assert torch.cosine_similarity(before.flatten(), identity, dim=0) < 0.6
    assert torch.cosine_similarity(product.flatten(), identity, dim=0) > 0.99


def test_the_inverse_is_optimized_as_the_predictor_is() -> None:
    rates = (
        "method.predictor.lr=constant",
        "method.predictor.lr_multiplier=10",
        "method.predictor.weight_decay=0.5",
    )
    method = build("byol", *INVERSE, *rates)
    config = OptimizerConfig(lr=0.2, lr_scaling="none")
    for group in build_optimizer(config, method, 64).param_groups:
        held = {id(p) for p in group["params"]}
        inverse, predictor = ({id(p) for p in part.parameters()} for part in (method.h, method.predictor))
        assert len(inverse) == len(predictor) == 4
        assert len(held & inverse) == len(held & predictor)
        if held & inverse:
            assert (group["lr"], group["weight_decay"], group["constant"]) == (2.0, 0.5, True)


def test_a_symmetric_predictor_has_a_symmetric_inverse() -> None:
    method = build("simsiam", *INVERSE, "method.predictor.kind=linear", "method.predictor.symmetric=true")
    weight = method.h.inverse.layers[0].weight
    with torch.no_grad():
        weight.add_(torch.randn(8, 8))
    method.after_step(progress())
    assert torch.equal(weight, weight.T)
    assert any(name.startswith("h.inverse.") for name in method.state_dict())


def test_codes_are_of_what_the_predictor_makes_where_it_stands_on_both_sides() -> None:
    """The predictor as one more layer of the projector: the loss and Sinkhorn's queue are that method's."""
    swav = ("method.prototypes.number=5", "method.sinkhorn.queue_size=12")
    method = build("swav", *swav, "method.predictor.kind=linear", "method.predictor.on=both")
    plain = build("swav", *swav)
    plain.prototypes, plain.assign.prototypes = method.prototypes, method.prototypes
    plain.encoder.backbone = method.encoder.backbone
    plain.encoder.projector = nn.Sequential(copy.deepcopy(method.encoder.projector), method.predictor)
    losses = []
    for each in (method, plain):
        each.before_step(progress())
        losses.append(each.loss(make_views(), index()).loss)
        each.assign.update()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(method.assign.queues[0].vectors, plain.assign.queues[0].vectors)


def test_the_place_adds_nothing_to_a_checkpoint_and_is_named_where_it_differs() -> None:
    plain, mirrored = build("simsiam"), build("simsiam", "method.predictor.on=target")
    assert plain.state_dict().keys() == mirrored.state_dict().keys()
    assert variant(compose(["method=simsiam"])) == "simsiam"
    assert variant(compose(["method=simsiam", "method.predictor.on=both"])) == "simsiam, predictor_on: both"


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("simsiam", ["predictor.kind=identity", "predictor.on=both"], "computes nothing on either side"),
        ("swav", ["predictor.kind=mlp", "predictor.on=target"], "makes targets of scores"),
        ("moco", ["predictor.kind=mlp", "predictor.on=target"], "maps the positives alone"),
        ("simsiam", ["predictor.on=target", "similarity=dot"], "takes targets as constants"),
        ("simsiam", ["predictor.on=target", "predictor.kind=direct"], "maps the targets"),
        ("simsiam", ["predictor.inverse=true"], "has none before it there"),
        ("simsiam", ["predictor.inverse=true", "predictor.on=target"], "has none before it there"),
        ("simsiam", ["predictor.inverse=true", "predictor.on=both", "stop_gradient=false"], "own loss alone"),
        (
            "simsiam",
            ["predictor.inverse=true", "predictor.on=both", "predictor.kind=direct"],
            "is set by the data",
        ),
        (
            "simsiam",
            ["similarity=dot", "extra_gradient.of=predictor", "predictor.on=both"],
            "is defined with the predictor on the anchor",
        ),
    ],
)
def test_contradictions(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override}" for override in overrides)])


def test_the_scale_of_the_loss_is_the_inverse_predictors_too() -> None:
    plain, scaled = (build("simsiam", *INVERSE, f"method.loss_scale={scale}") for scale in (1, 3))
    for method in (plain, scaled):
        method.loss(make_views(), index()).loss.backward()
    ours = gradients(scaled.h.inverse)
    for name, gradient in gradients(plain.h.inverse).items():
        torch.testing.assert_close(ours[name], 3 * gradient)
