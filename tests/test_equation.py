"""The axes of the equation: what each switch does to gradients, weights and state."""

from __future__ import annotations

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from helpers.runs import SIAMESE_METHODS
from reference import naive_losses as naive

from ssl_zoo.config.compose import compose
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import MomentumConfig
from ssl_zoo.equation import GridPoint, Siamese, ordered_pairs
from ssl_zoo.parts.schedule import Progress, momentum_decay


@pytest.mark.parametrize("name", SIAMESE_METHODS)
def test_yaml_stands_where_the_paper_stands(name: str) -> None:
    method = METHODS.get(name).load()
    assert issubclass(method, Siamese)
    assert GridPoint.of(compose([f"method={name}"]).method) == method.paper


@pytest.mark.parametrize("name", ["simsiam", "simclr", "swav"])
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_stop_gradient_decides_whether_the_target_branch_gets_any(name: str, stop_gradient: bool) -> None:
    overrides = [
        "method.predictor.kind=mlp",
        f"method.stop_gradient={stop_gradient}",
        "method.symmetric=false",
    ]
    method, views = build(name, *overrides), make_views()
    views = [view.requires_grad_() for view in views]
    method.loss(views, index()).loss.backward()
    # Asymmetric: view 0 is predicted from, view 1 is the target. Batch negatives take targets from both.
    assert views[0].grad.abs().sum() > 0
    reached = views[1].grad is not None and bool(views[1].grad.abs().sum() > 0)
    assert reached is not stop_gradient


@pytest.mark.parametrize("name", ["byol", "moco"])
def test_no_gradient_reaches_the_momentum_encoder(name: str) -> None:
    method, views = build(name), make_views()
    method.loss(views, index()).loss.backward()
    assert all(gradient is None for gradient in gradients(method.target_encoder).values())
    assert all(gradient is not None for gradient in gradients(method.encoder).values())


@pytest.mark.parametrize("name", ["byol", "moco"])
def test_momentum_encoder_follows_its_formula(name: str) -> None:
    method, step = build(name), progress(step=30)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    online = [p.detach().clone() for p in method.encoder.parameters()]
    target = [p.detach().clone() for p in method.target_encoder.parameters()]
    decay = naive.byol_decay(0.99, 30, 100) if name == "byol" else 0.999
    method.after_step(step)
    for after, expected in zip(
        method.target_encoder.parameters(), naive.ema(online, target, decay), strict=True
    ):
        torch.testing.assert_close(after.detach(), expected)


def test_decay_of_byol_rises_from_base_to_one() -> None:
    config = MomentumConfig(enabled=True, decay=0.9, schedule="cosine")
    decays = [momentum_decay(config, Progress(step, 50, 10)) for step in range(51)]
    assert decays == pytest.approx([naive.byol_decay(0.9, step, 50) for step in range(51)])
    assert decays[0] == pytest.approx(0.9)
    assert decays[-1] == pytest.approx(1.0)


def test_target_network_has_its_own_batch_statistics() -> None:
    method, views = build("byol"), make_views()
    bn = next(m for m in method.target_encoder.modules() if isinstance(m, torch.nn.BatchNorm1d))
    before = bn.running_mean.clone()
    method.loss(views, index())
    assert not torch.equal(before, bn.running_mean)


def test_a_fixed_predictor_does_not_move_and_still_passes_gradients() -> None:
    method, views = build("simsiam", "method.predictor.trainable=false"), make_views()
    before = [p.clone() for p in method.predictor.parameters()]
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method.loss(views, index()).loss.backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, method.predictor.parameters(), strict=True))
    assert all(gradient is not None for gradient in gradients(method.encoder).values())


def test_predictor_kinds() -> None:
    kinds = {"mlp": 5, "linear": 2, "identity": 0}  # tensors: Linear, BN (2), Linear with bias (2)
    for kind, tensors in kinds.items():
        method = build("simsiam", f"method.predictor.kind={kind}")
        assert len(list(method.predictor.parameters())) == tensors


def test_queue_takes_keys_in_after_both_terms_first_in_first_out() -> None:
    method, views = build("moco", "method.symmetric=true"), make_views()
    before, pointer = method.negatives.store.vectors.clone(), 0
    for _ in range(3):  # 12 keys a step into 10 places: it wraps around
        with torch.no_grad():
            keys = torch.cat([method.target_encoder(view) for view in views])
        method.loss(views, index()).loss.backward()
        assert torch.equal(method.negatives.store.vectors, before), "the queue moved within a step"
        method.after_step(progress())
        newest = torch.nn.functional.normalize(keys, dim=1)[-10:]
        expected, pointer = naive.enqueue(before, pointer, newest)
        torch.testing.assert_close(method.negatives.store.vectors, expected)
        assert int(method.negatives.store.pointer) == pointer
        before = method.negatives.store.vectors.clone()
    assert {"negatives.store.vectors", "negatives.store.pointer"} <= set(method.state_dict())


def test_positives_are_never_among_the_queues_negatives() -> None:
    method, views = build("moco"), make_views()
    for _ in range(4):
        with torch.no_grad():
            keys = torch.nn.functional.normalize(method.target_encoder(views[1]), dim=1)
        negatives = method.negatives({}, index(), 0, 1).keys
        assert (keys @ negatives.T).max() < 1 - 1e-6
        method.loss(views, index())
        views = [view + torch.randn_like(view) for view in views]
        method.after_step(progress())


def test_sinkhorn_rows_and_columns() -> None:
    method = build("swav", "method.prototypes.number=5", "method.sinkhorn.iterations=200")
    scores = torch.randn(12, 5, dtype=torch.float64)
    codes = method.assign.codes(scores)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(12, dtype=torch.float64))
    columns = torch.full((5,), 12 / 5, dtype=torch.float64)
    torch.testing.assert_close(codes.sum(dim=0), columns, rtol=1e-4, atol=0)
    three = build("swav", "method.prototypes.number=5").assign.codes(scores)
    torch.testing.assert_close(three, naive.sinkhorn(scores, 0.05, 3))


def test_sinkhorn_survives_large_scores() -> None:
    codes = build("swav", "method.prototypes.number=5").assign.codes(1e4 * torch.randn(12, 5))
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(12))


def test_prototypes_stay_on_the_sphere_and_are_frozen_at_first() -> None:
    method, views = build("swav", "method.prototypes.number=5"), make_views()  # frozen for 1 epoch
    for step, frozen in ((9, True), (10, False)):
        method.loss(views, index()).loss.backward()
        assert method.prototypes.weight.grad.any()
        method.after_backward(progress(step))
        assert bool(method.prototypes.weight.grad.any()) is not frozen
    with torch.no_grad():
        method.prototypes.weight.mul_(3)
    method.before_step(progress())
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(5))


def test_ordered_pairs() -> None:
    assert ordered_pairs(2, 2, symmetric=True) == [(1, 0), (0, 1)]
    assert ordered_pairs(2, 2, symmetric=False) == [(0, 1)]
    # Multi-crop: small crops predict both targets and are targets of none.
    assert set(ordered_pairs(4, 2, symmetric=True)) == {(1, 0), (2, 0), (3, 0), (0, 1), (2, 1), (3, 1)}


def test_constant_lr_is_the_predictors_alone() -> None:
    method = build("simsiam")
    assert set(method.constant_lr_parameters()) == set(method.predictor.parameters())
    assert list(build("byol").constant_lr_parameters()) == []


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("byol", ["stop_gradient=false"], "no gradient may reach"),
        ("simclr", ["negatives=none"], "info_nce needs negatives"),
        ("simsiam", ["negatives=batch"], "never reads negatives"),
        ("simsiam", ["negatives=queue"], "never reads negatives"),
        ("swav", ["prototypes.number=0"], "needs prototypes"),
        ("swav", ["similarity=cosine"], "cannot compare"),
        ("simsiam", ["prototypes.number=3"], "never reads prototypes"),
        ("simclr", ["predictor.trainable=false"], "has no weights"),
        ("simsiam", ["predictor.kind=bias", "predictor.trainable=false"], "would stay 0"),
        ("simsiam", ["predictor.kind=bias", "predictor.bn_output=true"], "would take it away again"),
    ],
)
def test_contradictions_are_refused_with_the_reason(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override}" for override in overrides)])


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("byol", ["momentum_encoder.enabled=false"]),
        ("byol", ["momentum_encoder.enabled=false", "stop_gradient=false"]),
        ("moco", ["momentum_encoder.enabled=false"]),
        ("moco", ["negatives=batch"]),
        ("swav", ["predictor.kind=mlp"]),
        ("swav", ["momentum_encoder.enabled=true"]),
        ("swav", ["assignment=identity"]),
        ("simclr", ["momentum_encoder.enabled=true", "stop_gradient=true"]),
        ("simsiam", ["predictor.kind=linear"]),
    ],
)
def test_what_a_paper_studies_runs(name: str, overrides: list[str]) -> None:
    method = build(
        name,
        *(f"method.{override}" for override in overrides),
        "method.prototypes.number=5" * (name == "swav") or "seed=0",
    )
    loss = method.loss(make_views(), index()).loss
    loss.backward()
    method.after_step(progress())
    assert loss.isfinite()
