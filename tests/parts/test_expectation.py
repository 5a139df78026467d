"""The explicit expectation over augmentations as target, against a loop over views and images."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from reference import naive_zhang as naive
from torch.nn.functional import normalize

from ssl_zoo.config.compose import compose
from ssl_zoo.run_dir.naming import variant


def expecting(views: int) -> tuple[str, ...]:
    return ("method.assignment=expectation", f"method.expectation_views={views}")


@pytest.mark.parametrize("predictor", ["identity", "mlp"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_target_is_the_mean_over_further_views(predictor: str, symmetric: bool) -> None:
    method = build(
        "simsiam", *expecting(3), f"method.predictor.kind={predictor}", f"method.symmetric={symmetric}"
    )
    views = [view.requires_grad_() for view in make_views(2 + 3)]
    live = torch.nn.ModuleDict(copy.deepcopy({"encoder": method.encoder, "predictor": method.predictor}))
    fixed = copy.deepcopy(method.encoder)
    p = [live["predictor"](live["encoder"](view)) for view in views[: 1 + symmetric]]
    expected = naive.expectation(p, [fixed(view.detach()) for view in views[2:]])
    loss = method.loss(views, index()).loss
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert [view.grad is not None for view in views] == [True, symmetric, False, False, False]
    expected.backward()
    for name, module in live.items():
        for key, gradient in gradients(module).items():
            torch.testing.assert_close(method.get_submodule(name).get_parameter(key).grad, gradient, msg=key)


def test_one_further_view_is_simsiams_target() -> None:
    plain = build("simsiam", "method.symmetric=false")
    method = build("simsiam", "method.symmetric=false", *expecting(1))
    first, second = make_views()
    losses = [plain.loss([first, second], index()).loss, method.loss([first, first, second], index()).loss]
    # The mean of one unit vector is that vector, whose length is 1 but for its last bit.
    torch.testing.assert_close(losses[1], losses[0], rtol=3e-7, atol=0)
    for loss in losses:
        loss.backward()
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(method.get_parameter(name).grad, gradient)


def test_the_target_is_not_normalised_again() -> None:
    method, views = build("simsiam", *expecting(4)), make_views(2 + 4)
    z = {k: copy.deepcopy(method.encoder)(views[k]) for k in range(2, 6)}
    target = method.assign(z, 0, index())
    mean = sum(normalize(z_k, dim=1) for z_k in z.values()) / 4
    torch.testing.assert_close(target, mean)
    assert (target.norm(dim=1) < 0.99).all()
    assert method.assign.sources({0, 1}, 6) == {2, 3, 4, 5}


def test_a_momentum_encoder_computes_the_expectation() -> None:
    method, views = build("byol", *expecting(2), "method.projector.hidden_dim=64"), make_views(4)
    with torch.no_grad():
        for parameter in method.target_encoder.parameters():
            parameter.mul_(1 + 0.5 * torch.rand_like(parameter))
    p = [copy.deepcopy(method.predictor)(copy.deepcopy(method.encoder)(view)) for view in views[:2]]
    expected = naive.expectation(p, [copy.deepcopy(method.target_encoder)(view) for view in views[2:]])
    torch.testing.assert_close(method.loss(views, index()).loss, method.config.loss_scale * expected)


def test_a_predictor_on_both_sides_is_within_the_expectation() -> None:
    method, views = build("simsiam", *expecting(2), "method.predictor.on=both"), make_views(4)
    z = [copy.deepcopy(method.encoder)(view) for view in views]
    p = [copy.deepcopy(method.predictor)(each) for each in z]
    torch.testing.assert_close(method.loss(views, index()).loss, naive.expectation(p[:2], p[2:]))


def test_a_memory_bank_stores_the_expectation() -> None:
    overrides = ("method.negatives=memory_bank", "method.memory.decay=0", "method.memory.negatives=9")
    method, views = build("moco", *expecting(3), *overrides), make_views(5)
    method.allocate(8)
    z = [normalize(copy.deepcopy(method.target_encoder)(view), dim=1) for view in views[2:]]
    method.loss(views, index())
    method.after_step(progress())
    torch.testing.assert_close(method.memory.vectors[:6], normalize(sum(z), dim=1))


def test_further_views_are_made_as_the_first() -> None:
    views = "augment.views={a: {}, b: {flip: 0.25}}"
    config = compose(["method=simsiam", "data=cifar10", views, *expecting(3), "method.pairs_per_image=2"])
    assert [view.flip for view in config.views] == [0.5, 0.25, 0.5, 0.25, 0.5, 0.5, 0.5]
    assert variant(config).endswith("assignment: expectation, pairs_per_image: 2, expectation_views: 3")


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("simsiam", ["assignment=expectation"], "set expectation_views"),
        ("simsiam", ["expectation_views=3"], "never reads further views"),
        ("simsiam", [*expecting(2), "similarity=cross_entropy"], "does not compare"),
        ("simsiam", [*expecting(2), "stop_gradient=false"], "encoded without gradient"),
        ("simsiam", [*expecting(2), "joint_batch=true"], "apart from the pair"),
        ("simclr", [*expecting(2), "stop_gradient=true", "joint_batch=false"], "which would count twice"),
        (
            "moco",
            [*expecting(2), "symmetric=true"],
            "would enter 2 times .symmetric=true, pairs_per_image=1.; set",
        ),
        (
            "moco",
            [*expecting(2), "pairs_per_image=3"],
            "would enter 3 times .symmetric=false, pairs_per_image=3.; set",
        ),
        ("simsiam", [*expecting(2), "similarity=dot", "extra_gradient.of=predictor"], "has one of no view"),
    ],
)
def test_contradictions(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override.removeprefix('method.')}" for override in overrides)])


def test_a_queue_takes_the_expectation_once() -> None:
    method, views = build("moco", *expecting(3)), make_views(5)
    method.loss(views, index())
    method.after_step(progress())
    keys = method.negatives.store.vectors
    assert len(keys.unique(dim=0)) == len(keys)
