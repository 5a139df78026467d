"""Learning rates, parameter groups and LARS, against closed forms and a naive update."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from helpers.methods import build, index, make_views
from reference import naive_losses as naive
from torch.utils.data import DataLoader

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.errors import UserError
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.optim import build_optimizer, build_schedule, peak_lr, schedule_factor


@pytest.mark.parametrize(
    ("scaling", "expected"), [("linear", 0.3 * 512 / 256), ("sqrt", 0.3 * math.sqrt(512)), ("none", 0.3)]
)
def test_lr_scaling(scaling: str, expected: float) -> None:
    config = compose([f"optimizer.lr_scaling={scaling}", "optimizer.lr=0.3"]).optimizer
    assert peak_lr(config, 512) == pytest.approx(expected)


def test_simclrs_rates_at_a_batch_of_4096() -> None:
    assert peak_lr(
        compose(["method=simclr", "data=imagefolder", "data.train=x"]).optimizer, 4096
    ) == pytest.approx(4.8)


def test_warmup_then_cosine() -> None:
    config = OptimizerConfig(warmup_epochs=2, warmup_lr_fraction=0.1, final_lr_fraction=0.01)
    factors = [
        schedule_factor(config, step, batch=64, total_steps=100, steps_per_epoch=5) for step in range(101)
    ]
    assert factors[0] == pytest.approx(0.1)
    assert factors[5] == pytest.approx(0.55)
    assert factors[10] == pytest.approx(1.0)
    assert factors[55] == pytest.approx((1 + 0.01) / 2)
    assert factors[100] == pytest.approx(0.01)
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_simsiams_schedule_moves_once_an_epoch() -> None:
    config = OptimizerConfig(schedule_interval="epoch")
    factors = [
        schedule_factor(config, step, batch=64, total_steps=40, steps_per_epoch=10) for step in range(40)
    ]
    for epoch in range(4):
        expected = (1 + math.cos(math.pi * epoch / 4)) / 2
        assert factors[10 * epoch : 10 * epoch + 10] == pytest.approx([expected] * 10)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning, of torch
@pytest.mark.filterwarnings("ignore:.*num_workers")
def test_weight_decay_follows_a_cosine() -> None:
    """Of what is decayed: norms and biases stay without, and a predictor's own keeps its ratio to the optimizer's."""
    overrides = [
        "method=byol", "data=cifar10", "recipe=null", "epochs=2", "batch_size=4", "optimizer.name=adamw",
        "optimizer.weight_decay=0.04", "optimizer.final_weight_decay=0.4", "method.predictor.weight_decay=0.02",
        "trainer.accumulate=2", "optimizer.exclude_norm_and_bias=true",
    ]  # fmt: skip
    config = compose(overrides)
    module = TrainingModule(
        config, build("byol", *overrides[3:]), lambda *_, **__: make_views(images=4), images=16, batches=4
    )
    seen: list[list[float]] = []

    class Watch(pl.Callback):
        def on_train_batch_end(
            self, trainer: pl.Trainer, module: Any, out: Any, batch: Any, number: int
        ) -> None:
            if number % 2:
                seen.append([group["weight_decay"] for group in trainer.optimizers[0].param_groups])

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, callbacks=[Watch()], accumulate_grad_batches=2,
        enable_model_summary=False, **quiet,
    )  # fmt: skip
    trainer.fit(module, DataLoader([(torch.empty(4), index(4))] * 4, batch_size=None))
    expected = [0.4 + (0.04 - 0.4) * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert len(seen) == 4
    for decays, value in zip(seen, expected, strict=True):
        assert sorted({*decays}) == pytest.approx([0.0, value / 2, value])
    with pytest.raises(ValueError, match=r"optimizer\.weight_decay=0 begins none"):
        compose([*overrides, "optimizer.weight_decay=0"])


def test_constant_lr_predictor_keeps_the_peak_rate() -> None:
    method = build("simsiam")
    config = OptimizerConfig(lr=1.0, lr_scaling="none")
    optimizer = build_optimizer(config, method, 64)
    schedule = build_schedule(config, optimizer, batch=64, total_steps=10, steps_per_epoch=5)
    predictor = {id(p) for p in method.predictor.parameters()}
    for _ in range(5):
        optimizer.step()
        schedule.step()
    for group in optimizer.param_groups:
        constant = {id(p) for p in group["params"]} <= predictor
        assert group["lr"] == pytest.approx(1.0 if constant else 0.5)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert trained == {id(p) for p in method.parameters()}


@pytest.mark.parametrize("name", ["sgd", "lars", "adamw"])
def test_norm_and_bias_can_be_left_out_of_weight_decay(name: str) -> None:
    method = build("byol")
    for exclude in (True, False):
        config = OptimizerConfig(name=name, weight_decay=0.1, exclude_norm_and_bias=exclude)
        for group in build_optimizer(config, method, 64).param_groups:
            vectors = all(p.ndim <= 1 for p in group["params"])
            assert group["weight_decay"] == (0.0 if exclude and vectors else 0.1)
            if name == "lars":
                assert group["always_adapt"] is not (exclude and vectors)


def test_what_is_not_trained_is_not_in_the_optimizer() -> None:
    method = build("byol", "method.predictor.trainable=false")
    trained = {
        id(p)
        for group in build_optimizer(OptimizerConfig(), method, 64).param_groups
        for p in group["params"]
    }
    assert trained == {id(p) for p in method.encoder.parameters()}


@pytest.mark.parametrize(
    ("weight_decay", "trust", "clip"), [(0.0, 0.001, False), (0.1, 0.001, False), (0.1, 0.3, True)]
)
def test_lars_against_a_naive_update(weight_decay: float, trust: float, clip: bool) -> None:
    """The last as solo-learn has it on CIFAR; BN's scales are clipped there and the layers' weights are not."""
    method = build("simclr")
    config = OptimizerConfig(
        name="lars",
        lr=0.5,
        lr_scaling="none",
        weight_decay=weight_decay,
        trust_coefficient=trust,
        trust_clip=clip,
    )
    optimizer = build_optimizer(config, method, 64)
    parameters = [p for p in method.parameters() if p.requires_grad]
    weights = [p.detach().clone() for p in parameters]
    buffers: list[torch.Tensor] = [torch.zeros_like(p) for p in parameters]
    for step in range(3):
        torch.manual_seed(step)
        for i, parameter in enumerate(parameters):
            parameter.grad = torch.randn_like(parameter)
            weights[i], buffers[i] = naive.lars_step(
                weights[i], parameter.grad, buffers[i], 0.5, 0.9, weight_decay, trust, clip
            )
        optimizer.step()
    for parameter, expected in zip(parameters, weights, strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-6)


def test_lars_keys_need_lars() -> None:
    with pytest.raises(
        UserError, match=r"trust_clip are LARS's; received optimizer.name=sgd; set optimizer.name=lars"
    ):
        compose(["method=simsiam", "optimizer.name=sgd", "optimizer.trust_clip=true"])


def test_under_lars_the_scale_of_the_loss_moves_only_bn_and_biases() -> None:
    """What `methods/simclr.py` says of `loss_scale`: a sum over both orders is twice the mean."""
    moved = []
    for scale in (1, 2):
        method = build("simclr", f"method.loss_scale={scale}")
        config = compose(["method=simclr", "data=imagefolder", "data.train=x"]).optimizer
        optimizer = build_optimizer(config, method, 4096)
        before = {name: p.detach().clone() for name, p in method.named_parameters()}
        method.loss(make_views(), index()).loss.backward()
        optimizer.step()
        moved.append(
            {name: p.detach() - before[name] for name, p in method.named_parameters() if p.requires_grad}
        )
    for name, mean in moved[0].items():
        factor = 1 if mean.ndim > 1 else 2
        torch.testing.assert_close(moved[1][name], factor * mean, rtol=1e-4, atol=1e-6, msg=name)
