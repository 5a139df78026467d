"""Where the predictor stands, against loops in which stop-gradient is a second copy of the weights."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from reference import naive_zhang as naive
from torch import Tensor, nn

from ssl_zoo.config.compose import compose
from ssl_zoo.equation import Siamese
from ssl_zoo.runs.naming import variant


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
