"""Lengths of the gradients: of encoder and predictor, mean over an epoch's steps; and parameters without any."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.methods import build, index, make_views
from helpers.runs import overrides
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from torch import nn

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import UserError
from ssl_zoo.training import module as module_file
from ssl_zoo.training.clipping import gradient_norm
from ssl_zoo.training.gradients import GradientNorms, loss_scale
from ssl_zoo.training.module import TrainingModule


def test_the_length_of_all_gradients_together() -> None:
    a, b, without = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    a.grad, b.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert float(gradient_norm([a, without, b])) == 5
    assert float(gradient_norm([without])) == 0


@pytest.mark.parametrize("fused", [True, False])
def test_a_fused_optimizers_gradients_have_the_scale_of_fp16(fused: bool) -> None:
    """The scaler unscales, before they are measured, those of another; of a fused one it leaves them as they are."""
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer: Any = SimpleNamespace(precision_plugin=MixedPrecision("16-mixed", "cpu", scaler))
    scaler.scale(3 * weight[0] + 4 * weight[1]).backward()
    if not fused:  # as Lightning does
        scaler.unscale_(optimizer)
    assert float(gradient_norm([weight])) / loss_scale(trainer, optimizer) == 5
    assert loss_scale(SimpleNamespace(precision_plugin=Precision()), optimizer) == 1  # type: ignore[arg-type]


def test_means_over_the_steps_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[float]] = {"encoder": [], "predictor": []}
    original: Any = TrainingModule.on_before_optimizer_step

    def record(self: TrainingModule, optimizer: torch.optim.Optimizer) -> None:
        for name, norms in seen.items():
            part = dict(self.method.named_children())[name]
            squares = [float(p.grad.double().square().sum()) for p in part.parameters() if p.grad is not None]
            norms.append(math.sqrt(math.fsum(squares)))
        original(self, optimizer)

    monkeypatch.setattr(TrainingModule, "on_before_optimizer_step", record)
    result = ssl_zoo.train(
        overrides("simsiam", "epochs=2", "trainer.accumulate=2", f"run_dir={tmp_path / 'run'}")
    )
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    steps = len(seen["encoder"]) // 2
    assert steps > 1
    for name, norms in seen.items():
        key = f"{name}_gradient_norm"
        assert rows[0][key] == ""
        for epoch in (1, 2):
            expected = math.fsum(norms[(epoch - 1) * steps : epoch * steps]) / steps
            assert float(rows[epoch][key]) == pytest.approx(expected, rel=1e-5)
        assert result.metrics[key] == float(rows[2][key])


def test_two_processes_would_wait_for_a_parameter_that_gets_no_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = build("simsiam")
    method.unused = nn.Linear(2, 2)
    module = TrainingModule(compose(["method=simsiam"]), method, lambda *_, **__: [], images=4, batches=1)
    method.loss(make_views(images=4), index(4)).loss.backward()
    module.on_after_backward()  # one process does not wait
    monkeypatch.setattr(module_file, "world_size", lambda: 2)
    with pytest.raises(UserError, match=r"reach 2, unused\.weight among them; call requires_grad_"):
        module.on_after_backward()
    searching = compose(
        ["method=simsiam", "trainer.devices=2", "trainer.strategy=ddp_find_unused_parameters_true"]
    )
    TrainingModule(searching, method, lambda *_, **__: [], images=4, batches=1).on_after_backward()
    method.unused.requires_grad_(False)
    module.on_after_backward()


def test_without_a_predictor_there_is_no_length_of_its_gradient(tmp_path: Path) -> None:
    result = ssl_zoo.train(overrides("simclr", "epochs=1", f"run_dir={tmp_path / 'run'}"))
    assert "predictor_gradient_norm" not in result.metrics
    assert result.metrics["encoder_gradient_norm"] > 0
    assert "eta" not in result.metrics


OVERFLOWS = torch.tensor([torch.inf, 1.0])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("overflowing", ["encoder", "predictor", "prototypes"])
def test_steps_that_fp16_skips_are_not_in_the_mean(overflowing: str, fused: bool) -> None:
    """Three steps, the second skipped, by whichever gradient overflows; then an epoch that is skipped as a whole."""
    method, row = nn.Module(), {"loss": 1.0}
    for name in ("encoder", "predictor", "prototypes"):
        child = nn.Module()
        child.weight = nn.Parameter(torch.zeros(2))
        method.add_module(name, child)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer: Any = SimpleNamespace(precision_plugin=MixedPrecision("16-mixed", "cpu", scaler))
    module: Any = SimpleNamespace(device=torch.device("cpu"))
    norms = GradientNorms(SimpleNamespace(rows=[row]), method)  # type: ignore[arg-type]

    def step(size: float, overflows: bool) -> None:
        scale = scaler.get_scale()
        for child in method.children():
            child.weight.grad = torch.tensor([3 * size * scale, 4 * size * scale])
        if overflows:
            method.get_submodule(overflowing).weight.grad = OVERFLOWS.clone()
        before = method.encoder.weight.detach().clone()
        scaler.scale(torch.ones(()))  # makes the scale, as the loss does
        if not fused:  # as Lightning does
            scaler.unscale_(optimizer)
        norms.on_before_optimizer_step(trainer, module, optimizer)
        scaler.step(optimizer)
        assert bool((before == method.encoder.weight).all()) is overflows  # PyTorch skips that step
        scaler.update()

    for size, overflows in ((1.0, False), (7.0, True), (3.0, False)):
        step(size, overflows)
    norms.on_train_epoch_end(trainer, module)
    assert row == {"loss": 1.0, "encoder_gradient_norm": 10.0, "predictor_gradient_norm": 10.0}
    row.clear()
    step(1.0, True)
    norms.on_train_epoch_end(trainer, module)
    assert row == {}


def test_an_overflow_without_fp16_is_in_the_mean() -> None:
    method, row = nn.Module(), dict[str, float]()
    method.add_module("encoder", nn.Linear(1, 2, bias=False))
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    trainer: Any = SimpleNamespace(precision_plugin=Precision())
    norms = GradientNorms(SimpleNamespace(rows=[row]), method)  # type: ignore[arg-type]
    for gradient in (torch.ones(2), OVERFLOWS):
        method.encoder.weight.grad = gradient[:, None].clone()
        norms.on_before_optimizer_step(trainer, SimpleNamespace(), optimizer)  # type: ignore[arg-type]
    norms.on_train_epoch_end(trainer, SimpleNamespace(device=torch.device("cpu")))  # type: ignore[arg-type]
    assert row == {"encoder_gradient_norm": math.inf}
