"""The further axes: what each switch does to the computation, against closed forms and naive references."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.methods import build, gradients, index, make_views, progress
from reference import naive_losses as naive
from reference import naive_steps
from torch import Tensor
from torch.nn.functional import linear, normalize

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.equation import Siamese, ordered_pairs
from ssl_zoo.training.optim import build_optimizer, schedule_factor, warmup_steps

SWAV = "method.prototypes.number=5"
SGD = OptimizerConfig(lr=0.1, lr_scaling="none", weight_decay=0.0, momentum=0.0)


def train(
    method: Siamese, steps: int, *, images: int = 6, views: int = 2, per_epoch: int = 10
) -> list[float]:
    """Optimizer steps through the method's hooks; returns the losses."""
    optimizer = build_optimizer(SGD, method, images)
    losses = []
    for step in range(steps):
        where = progress(step, per_epoch=per_epoch)
        method.before_step(where)
        optimizer.zero_grad()
        loss = method.loss(make_views(views, images, seed=step), (index(images) + step) % 8).loss
        loss.backward()
        method.after_backward(where)
        optimizer.step()
        method.after_step(where)
        losses.append(loss.item())
    return losses


# Predictor


def test_a_bias_is_the_least_predictor() -> None:
    """p = z/|z| + b, with b = 0 at first; Zhang et al., after 3.3."""
    method, views = build("simsiam", "method.predictor.kind=bias"), make_views()
    assert [tuple(p.shape) for p in method.predictor.parameters()] == [(8,)]
    z = [method.encoder(view) for view in views]
    assert torch.equal(method.predictor(z[0]), normalize(z[0], dim=1))
    with torch.no_grad():
        method.predictor.bias.copy_(torch.linspace(-1, 1, 8))
    p = [normalize(z_i, dim=1) + method.predictor.bias for z_i in z]
    loss = method.loss(views, index()).loss
    torch.testing.assert_close(loss, naive.simsiam(p, z, stop_gradient=True))
    loss.backward()
    descent = [  # the part of Z_b that is orthogonal to P_a, over |p_a|
        (target - (target @ predicted / predicted.norm()) * predicted / predicted.norm()) / predicted.norm()
        for a, b in ((0, 1), (1, 0))
        for predicted, target in zip(p[a], normalize(z[b], dim=1), strict=True)
    ]
    torch.testing.assert_close(method.predictor.bias.grad, -torch.stack(descent).mean(dim=0))


def test_the_predictors_width_follows_at_a_quarter() -> None:
    for dim in (8, 64):
        overrides = ("method.predictor.hidden_dim=null", f"method.projector.output_dim={dim}")
        method = build("simsiam", *overrides)
        assert next(method.predictor.parameters()).shape == (dim // 4, dim)
    assert compose(["method=simsiam", "data=cifar10"]).method.predictor.hidden_dim is None


@pytest.mark.parametrize("part", ["predictor", "projector"])
def test_lr_multipliers_move_a_head_so_much_further(part: str) -> None:
    moved = {}
    for factor in (0.0, 1.0, 10.0):
        method = build("byol", f"method.{part}.lr_multiplier={factor}")
        module = method.predictor if part == "predictor" else method.encoder.projector
        before = [p.detach().clone() for p in module.parameters()]
        rest = [p.detach().clone() for p in method.encoder.backbone.parameters()]
        train(method, 1)
        moved[factor] = torch.cat(
            [(a.detach() - b).flatten() for a, b in zip(module.parameters(), before, strict=True)]
        )
        assert not torch.equal(rest[0], next(method.encoder.backbone.parameters()))
    assert not moved[0.0].any()
    assert moved[1.0].any()
    torch.testing.assert_close(moved[10.0], 10 * moved[1.0], rtol=1e-4, atol=1e-6)


def test_multiplied_rates_keep_their_ratio_along_the_schedule() -> None:
    method = build("byol", "method.predictor.lr_multiplier=10")
    groups = build_optimizer(OptimizerConfig(lr=0.2, lr_scaling="none"), method, 64).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in method.predictor.parameters()} == {2.0}
    assert {rates[id(p)] for p in method.encoder.parameters()} == {0.2}


# Batch normalisation


@pytest.mark.parametrize(
    ("overrides", "places"),
    [
        (("projector.bn_hidden=false", "projector.bn_output=false", "predictor.bn_hidden=false"), "----"),
        (("projector.bn_output=false",), "y-y-"),
        ((), "yyy-"),
        (("predictor.bn_output=true",), "yyyy"),
    ],
)
def test_bn_in_the_heads(overrides: tuple[str, ...], places: str) -> None:
    """The four rows of SimSiam's Table 3: projector hidden and output, predictor hidden and output."""
    method = build("simsiam", *(f"method.{override}" for override in overrides))
    z = method.encoder(make_views(images=64)[0])
    p = method.predictor(z)
    hidden = (
        method.encoder.projector.layers[:-2] if places[1] == "y" else method.encoder.projector.layers[:-1]
    )
    seen = {
        0: any(isinstance(layer, torch.nn.BatchNorm1d) for layer in hidden),
        1: _normalized(z),
        2: any(isinstance(layer, torch.nn.BatchNorm1d) for layer in method.predictor.layers[:3]),
        3: _normalized(p),
    }
    assert "".join("y" if seen[i] else "-" for i in range(4)) == places


def _normalized(x: Tensor) -> bool:
    return bool(x.mean(dim=0).abs().max() < 1e-5 and (x.var(dim=0, unbiased=False) - 1).abs().max() < 1e-2)


@pytest.mark.parametrize(
    ("overrides", "trained"),
    [("", "both"), ("bn_output_affine=false", "none"), ("bn_output_center=false", "scale")],
)
def test_output_bn_with_and_without_affine_and_centre(overrides: str, trained: str) -> None:
    # Without BN in the predictor, which takes a shift away again, so that the bias's gradient would be rounding alone.
    method = build(
        "simsiam",
        "method.predictor.bn_hidden=false",
        *([f"method.projector.{overrides}"] if overrides else []),
    )
    bn = method.encoder.projector.layers[-1]
    with torch.no_grad():
        for p in method.encoder.projector.parameters():
            p.add_(0.01)  # away from the symmetric start, where the gradient of a scale can vanish
    before = None if bn.bias is None else (bn.weight.detach().clone(), bn.bias.detach().clone())
    train(method, 2)
    if trained == "none":
        assert bn.weight is bn.bias is None
        return
    assert before is not None
    assert not torch.equal(bn.weight, before[0])
    assert torch.equal(bn.bias, before[1]) is (trained == "scale")


def test_the_predictors_output_bn_without_affine() -> None:
    method = build("mocov3", "method.predictor.bn_output=true", "method.predictor.bn_output_affine=false")
    assert method.predictor.layers[-1].weight is method.predictor.layers[-1].bias is None
    assert _normalized(method.predictor(method.encoder(make_views()[0])))


@pytest.mark.parametrize("sizes", [(4, 4), (4, 4, 2, 2)])
def test_joint_views_share_their_statistics(sizes: tuple[int, ...]) -> None:
    """As the official SwAV: the backbone once per size, the projector once over the features of all views."""
    method = build("swav", SWAV, "method.joint_batch=true", "method.prototypes.frozen_epochs=0")
    views = [view[:, :, :size, :size] for view, size in zip(make_views(len(sizes)), sizes, strict=True)]
    flat, projector = method.encoder.backbone.linear, copy.deepcopy(method.encoder.projector)
    method.encoder.backbone.forward = (
        lambda x: linear(  # type: ignore[method-assign]
            x.flatten(1), flat.weight[:, : x[0].numel()], flat.bias
        )
    )
    features = [linear(view.flatten(1), flat.weight[:, : view[0].numel()], flat.bias) for view in views]
    z = projector(torch.cat(features)).chunk(len(views))
    scores = [linear(normalize(z_i, dim=1), method.prototypes.weight) for z_i in z]
    expected = naive.swapped_prediction(scores, 0.1, 0.05, 3)
    loss = method.loss(views, index()).loss
    torch.testing.assert_close(loss, expected)
    apart = build("swav", SWAV)
    assert not torch.isclose(apart.loss(make_views(), index()).loss, loss)


# Pairs and alternation


def test_two_pairs_per_image_are_the_mean_of_two_asymmetric_losses() -> None:
    overrides = (
        "method.symmetric=false",
        "method.projector.bn_hidden=false",
        "method.projector.bn_output=false",
    )
    method, views = build("simsiam", *overrides, "method.predictor.bn_hidden=false"), make_views(4)
    double = build("simsiam", *overrides, "method.predictor.bn_hidden=false", "method.pairs_per_image=2")
    once = [method.loss(pair, index()).loss for pair in (views[:2], views[2:])]
    torch.testing.assert_close(double.loss(views, index()).loss, (once[0] + once[1]) / 2)
    assert ordered_pairs(4, 2, symmetric=False, pairs_per_image=2) == [(0, 1), (2, 3)]
    assert ordered_pairs(4, 2, symmetric=True, pairs_per_image=2) == [(1, 0), (0, 1), (3, 2), (2, 3)]
    config = compose(
        ["method=byol", "data=cifar10", "method.pairs_per_image=2", "augment.views={a: {}, b: {flip: 0}}"]
    )
    assert [view.flip for view in config.views] == [0.5, 0.0, 0.5, 0.0]


def test_one_step_alternation_is_simsiam_to_the_bit() -> None:
    """The machinery of k steps, with k = 1: losses, weights and running statistics."""
    plain, machinery = build("simsiam"), build("simsiam")
    machinery.target_encoder = copy.deepcopy(machinery.encoder).requires_grad_(False)
    machinery._decay = lambda progress: 0.0  # type: ignore[method-assign]  # each step is an alternation's last
    assert train(plain, 4) == train(machinery, 4)
    state = machinery.state_dict()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(("steps", "per_epoch"), [(1, 3), (3, 5), ("epoch", 3)])
def test_multi_step_alternation_is_that_of_cached_targets(steps: int | str, per_epoch: int) -> None:
    """Two alternations of three (or of one) steps against targets computed in advance and kept."""
    method = build("simsiam", f"method.alternation_steps={steps}", "method.predictor.lr=decay")
    weights = {name: p.detach().clone() for name, p in method.named_parameters() if "target" not in name}
    k = 1 if steps == 1 else 3

    def encode(w: dict[str, Tensor], x: Tensor) -> Tensor:
        parts = {n.removeprefix("encoder."): p for n, p in w.items() if n.startswith("encoder.")}
        z: Tensor = torch.func.functional_call(copy.deepcopy(method.encoder), parts, (x,))
        return z

    def predict(w: dict[str, Tensor], z: Tensor) -> Tensor:
        parts = {n.removeprefix("predictor."): p for n, p in w.items() if n.startswith("predictor.")}
        p: Tensor = torch.func.functional_call(copy.deepcopy(method.predictor), parts, (z,))
        return p

    expected: list[float] = []
    buffers = {name: torch.zeros_like(p) for name, p in weights.items()}
    for start in range(0, 2 * k, k):
        batches = [tuple(make_views(2, 6, seed=start + i)) for i in range(k)]
        rates = [dict.fromkeys(weights, 0.1)] * k
        done = naive_steps.multi_step(encode, predict, weights, buffers, batches, rates, 0.0, 0.0)
        weights, buffers = done[-1].weights, done[-1].buffers
        expected += [float(step.loss) for step in done]
    assert train(method, 2 * k, per_epoch=per_epoch) == pytest.approx(expected, abs=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(method.get_parameter(name).detach(), value, rtol=1e-4, atol=1e-5)


def test_longer_alternations_are_another_computation() -> None:
    assert train(build("simsiam"), 4) != train(build("simsiam", "method.alternation_steps=3"), 4)


# Memory


def test_moving_average_targets_against_a_loop() -> None:
    """Sec. 5.2: eta_x <- m eta_x + (1 - m) z'_x; images in another order each step; no gradient into eta."""
    overrides = (
        "method.predictor.kind=identity",
        "method.assignment=moving_average",
        "method.symmetric=false",
    )
    method = build("simsiam", *overrides)
    method.allocate(9)
    assert torch.allclose(method.memory.vectors.norm(dim=1), torch.ones(9))
    optimizer = build_optimizer(SGD, method, 6)
    for step in range(4):
        views = make_views(2, 6, seed=step)
        order = torch.randperm(9, generator=torch.Generator().manual_seed(step))[:6]
        z = [copy.deepcopy(method.encoder)(view) for view in views]
        targets, memory = naive_steps.moving_average_targets(method.memory.vectors, order, z[1], 0.8)
        expected = -torch.stack(
            [torch.cosine_similarity(a, b, dim=0) for a, b in zip(z[0], targets, strict=True)]
        )
        optimizer.zero_grad()
        loss = method.loss(views, order).loss
        torch.testing.assert_close(loss, expected.mean())
        loss.backward()
        optimizer.step()
        method.after_step(progress(step))
        torch.testing.assert_close(method.memory.vectors, memory)
    assert "memory.vectors" in method.state_dict()


def test_a_memory_without_room_says_what_to_call() -> None:
    method = build("simsiam", "method.assignment=moving_average")
    with pytest.raises(ValueError, match=r"call method.allocate"):
        method.loss(make_views(), index())


def test_memory_is_moved_by_both_views_and_only_for_the_images_seen() -> None:
    overrides = (
        "method.predictor.kind=identity",
        "method.assignment=moving_average",
        "method.memory.decay=0.5",
    )
    method, views = build("simsiam", *overrides), make_views()
    method.allocate(10)
    before = method.memory.vectors.clone()
    z = [normalize(copy.deepcopy(method.encoder)(view), dim=1) for view in views]
    seen = torch.tensor([9, 3, 4, 1, 0, 7])
    method.loss(views, seen)
    assert torch.equal(method.memory.vectors, before), "it moved within a step"
    method.after_step(progress())
    expected = before.clone()
    expected[seen] = 0.5 * before[seen] + 0.25 * (z[0] + z[1]).detach()
    torch.testing.assert_close(method.memory.vectors, expected)


def test_memory_bank_against_a_loop() -> None:
    """MoCo's Figure 2b: positive and negatives come from the bank, whose vectors are kept at unit length."""
    overrides = (
        "method.negatives=memory_bank", "method.assignment=memory", "method.momentum_encoder.enabled=false",
        "method.memory.negatives=40", "method.memory.decay=0.5",
    )  # fmt: skip
    method = build("moco", *overrides)
    method.allocate(12)
    bank = method.memory.vectors.clone()
    views, seen = make_views(), torch.tensor([2, 5, 11, 0, 7, 3])
    q = [normalize(copy.deepcopy(method.encoder)(view), dim=1) for view in views]
    torch.manual_seed(5)
    loss = method.loss(views, seen).loss
    torch.manual_seed(5)
    drawn = torch.randint(12, (40,)).tolist()
    assert set(drawn) & set(seen.tolist()), "some draws hit an anchor's own image"
    terms = []
    for n, image in enumerate(seen.tolist()):
        keys = [bank[image]] + [bank[m] for m in drawn if m != image]
        logits = torch.stack([torch.dot(q[0][n], key) / 0.2 for key in keys])
        terms.append(logits.logsumexp(dim=0) - logits[0])
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    method.after_step(progress())
    moved = normalize(0.5 * bank[seen] + 0.5 * q[1].detach(), dim=1)
    torch.testing.assert_close(method.memory.vectors[seen], moved)


# Momentum encoder


def test_tau_0_is_no_momentum_encoder() -> None:
    """The target follows at once: BYOL with tau = 0 is BYOL without a momentum encoder, step for step."""
    overrides = ("method.momentum_encoder.decay=0", "method.momentum_encoder.schedule=constant")
    assert train(build("byol", *overrides), 4) == train(
        build("byol", "method.momentum_encoder.enabled=false"), 4
    )


def test_tau_1_is_a_constant_random_target() -> None:
    method = build("byol", "method.momentum_encoder.decay=1")
    before = [p.detach().clone() for p in method.target_encoder.parameters()]
    train(method, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, method.target_encoder.parameters(), strict=True))
    assert not torch.equal(before[0], next(method.encoder.parameters()))


# SwAV


@pytest.mark.parametrize("normalization", ["outside", "gradient"])
def test_prototypes_by_full_gradient_have_no_radial_one(normalization: str) -> None:
    """A gradient through w/|w| is orthogonal to w; outside it, it is that of the scores themselves."""
    overrides = (SWAV, f"method.prototypes.normalization={normalization}")
    method, views = build("swav", *overrides), make_views()
    with torch.no_grad():
        if normalization == "gradient":
            method.prototypes.weight.mul_(torch.tensor([[1.0], [2.0], [3.0], [0.5], [1.0]]))
    unit = normalize(method.prototypes.weight.detach(), dim=1)
    scores = [linear(normalize(method.encoder(x), dim=1), unit) for x in views]
    loss = method.loss(views, index()).loss
    torch.testing.assert_close(loss, naive.swapped_prediction(scores, 0.1, 0.05, 3))
    loss.backward()
    weight = method.prototypes.weight
    radial = (weight.grad * weight).sum(dim=1).abs().max()
    assert bool(radial < 1e-6) is (normalization == "gradient")
    length = weight.detach().norm(dim=1)
    method.before_step(progress())
    kept = torch.allclose(weight.detach().norm(dim=1), length)
    assert kept or normalization == "outside"


def test_sinkhorns_queue_joins_once_full_from_its_epoch_on() -> None:
    """Codes of the batch are those of batch and queue together; each target view has its own queue."""
    overrides = (SWAV, "method.sinkhorn.queue_size=12", "method.sinkhorn.queue_from_epoch=1")
    method = build("swav", *overrides)
    kept: list[list[Tensor]] = [[], []]
    for step in range(8):
        where = progress(step, per_epoch=3)
        views = make_views(2, 6, seed=step)
        method.before_step(where)
        z = [normalize(copy.deepcopy(method.encoder)(x), dim=1).detach() for x in views]
        scores = [linear(z_i, method.prototypes.weight.detach()) for z_i in z]
        for view in (0, 1):
            earlier = torch.cat(kept[view][-2:]) if len(kept[view]) >= 2 else torch.empty(0, 8)
            joined = torch.cat([scores[view], linear(earlier, method.prototypes.weight.detach())])
            expected = naive.sinkhorn(joined, 0.05, 3)[:6]
            # The method's own module, on the embeddings that the loss is about to see.
            codes = method.assign({view: z[view]}, view, index())
            torch.testing.assert_close(codes.detach(), expected, rtol=1e-4, atol=1e-6)
        method.loss(views, index())
        method.after_step(where)
        if step >= 3:
            for view in (0, 1):
                kept[view].append(z[view])
    assert method.assign.queues[0].full


def test_asymmetric_swav_reads_the_queue_it_fills() -> None:
    overrides = (SWAV, "method.symmetric=false", "method.sinkhorn.queue_size=6", "method.pairs_per_image=2")
    method = build("swav", *overrides)
    for step in range(2):
        views = make_views(4, 6, seed=step)
        method.before_step(progress(step))
        z = {j: normalize(copy.deepcopy(method.encoder)(views[j]), dim=1).detach() for j in (1, 3)}
        method.loss(views, index())
        method.after_step(progress(step))
    assert [queue.full for queue in method.assign.queues] == [False, True]
    kept = method.assign.queues[1].vectors
    assert torch.allclose(kept, z[3])  # the newest that fit: those of the last pair
    scores, earlier = (linear(x, method.prototypes.weight.detach()) for x in (z[1], kept))
    expected = naive.sinkhorn(torch.cat([scores, earlier]), 0.05, 3)[:6]
    torch.testing.assert_close(method.assign({1: z[1]}, 1, index()).detach(), expected, rtol=1e-4, atol=1e-6)


# Optimisers


def test_warmup_only_for_large_batches() -> None:
    config = compose(["method=simsiam", "data=cifar10", "recipe=null"]).optimizer
    assert [warmup_steps(config, batch, 100) for batch in (512, 1023, 1024, 4096)] == [0, 0, 1000, 1000]
    small, large = (
        schedule_factor(config, 0, batch=b, total_steps=10000, steps_per_epoch=100) for b in (512, 1024)
    )
    assert (small, large) == (1.0, config.warmup_lr_fraction)
    assert config.warmup_lr_fraction < 1


def test_a_transformers_position_and_class_token_are_not_decayed() -> None:
    import ssl_zoo

    overrides = [
        "method=simclr",
        "data=cifar10",
        "recipe=null",
        "backbone.name=test_vit",
        "backbone.stem=standard",
    ]
    method = ssl_zoo.build_method([*overrides, "augment.size=32"])
    config = OptimizerConfig(name="adamw", weight_decay=0.1, exclude_norm_and_bias=True)
    names = {id(p): n for n, p in method.encoder.backbone.named_parameters()}
    for group in build_optimizer(config, method, 64).param_groups:
        here = {names[id(p)] for p in group["params"] if id(p) in names}
        assert ("pos_embed" in here) is ("cls_token" in here)
        if "pos_embed" in here:
            assert group["weight_decay"] == 0.0
        if any(name.endswith("qkv.weight") for name in here):
            assert group["weight_decay"] == 0.1


# Contradictions


@pytest.mark.parametrize(
    ("name", "overrides", "reason"),
    [
        ("byol", ["alternation_steps=10"], "stand still, the other that they follow"),
        ("simsiam", ["alternation_steps=10", "stop_gradient=false"], "weights that stand still"),
        ("swav", ["assignment=moving_average", "prototypes.number=0"], "keeps unit vectors"),
        ("swav", ["assignment=nearest_neighbor", "prototypes.number=0"], "keeps unit vectors"),
        ("nnclr", ["stop_gradient=false"], "stored embeddings and pass no gradient; set stop_gradient=true"),
        ("nnclr", ["negatives=queue"], "push away from the same vectors; set negatives=predictions"),
        ("nnclr", ["negatives=none"], "info_nce needs negatives"),
        ("mocov3", ["predictor.bn_output_affine=false"], "is of an output BN"),
        ("simsiam", ["negatives=memory_bank"], "never reads negatives"),
        ("simsiam", ["alternation_steps=0"], "at least 1 or one of 'epoch'; received 0"),
        ("simsiam", ["alternation_steps=often"], "a whole number or one of 'epoch'; received 'often'"),
    ],
)
def test_contradictions(name: str, overrides: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compose([f"method={name}", *(f"method.{override}" for override in overrides)])


def test_no_gradient_reaches_weights_that_stand_still() -> None:
    method = build("simsiam", "method.alternation_steps=3")
    method.loss(make_views(), index()).loss.backward()
    assert all(gradient is None for gradient in gradients(method.target_encoder).values())
