"""Projector and predictor: depth, widths, biases; and clipping, the one switch of the trainer that has no home."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from helpers.methods import build, make_views
from helpers.runs import overrides
from torch import Tensor, nn

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import ProjectorConfig
from ssl_zoo.parts.heads import build_projector
from ssl_zoo.training.fit import fit
from ssl_zoo.training.prepare import prepare

LR = 0.5
ONE_STEP = (
    f"optimizer.lr={LR}", "optimizer.lr_scaling=none", "optimizer.momentum=0", "optimizer.weight_decay=0",
    "data.limit=32", "epochs=1", "monitor.baselines=false", "optimizer.schedule_interval=step", "backbone.stem=small",
    "augment.size=16",
)  # fmt: skip


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_projector_is_the_mlp_that_the_keys_say(layers: int) -> None:
    """Against plain torch: Linear, BN, ReLU, ..., Linear, with the same weights."""
    torch.manual_seed(0)
    ours = build_projector(ProjectorConfig(layers=layers, hidden_dim=6, output_dim=3), 5)
    linears = [module for module in ours.modules() if isinstance(module, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == {
        0: [], 1: [(5, 3)], 2: [(5, 6), (6, 3)], 3: [(5, 6), (6, 6), (6, 3)],
    }[layers]  # fmt: skip
    x = torch.randn(16, 5)
    expected = x
    for number, linear in enumerate(linears):
        expected = expected @ linear.weight.T + (0 if linear.bias is None else linear.bias)
        if number < len(linears) - 1:
            centred = expected - expected.mean(dim=0)
            expected = (centred / (centred.square().mean(dim=0) + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(ours(x), expected)


@pytest.mark.parametrize("bias", [True, False])
def test_biases(bias: bool) -> None:
    """Only where no BN follows, and there only if asked for."""
    words_ = [f"method.{head}.bias_output={bias}" for head in ("projector", "predictor")]
    method = build("byol", *words_)
    for head in (method.encoder.projector, method.predictor):
        hidden, output = (m for m in head.modules() if isinstance(m, nn.Linear))
        assert hidden.bias is None
        assert (output.bias is not None) is bias
    z = method.encoder(make_views()[0])
    assert z.shape == (6, 8)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_clipped(precision: str, tmp_path: Path) -> None:
    """A step moves the weights as the naively clipped gradient would; the gradient is that of an unclipped step."""

    def moved(*more: str) -> Tensor:
        run_dir = tempfile.mkdtemp(dir=tmp_path)
        ready = prepare(
            compose(overrides("simsiam", *ONE_STEP, f"precision={precision}", f"run_dir={run_dir}", *more))
        )
        before = torch.cat([p.detach().flatten() for p in ready.method.parameters()])
        fit(ready, lambda row: None)
        return torch.cat([p.detach().flatten() for p in ready.method.parameters()]) - before

    gradient = -moved("optimizer.name=sgd") / LR
    for share in (0.25, 4.0):  # of its norm: clipped, and let through
        norm = share * gradient.norm().item()
        expected = -LR * min(1.0, share) * gradient
        step = moved("optimizer.name=sgd", f"optimizer.clip_grad_norm={norm}")
        torch.testing.assert_close(step, expected, atol=1e-6, rtol=1e-3)
    clipped = 1e-7 * gradient / gradient.norm()  # so small that Adam's epsilon shows
    step = moved("optimizer.name=adamw", "optimizer.clip_grad_norm=1e-7")
    torch.testing.assert_close(step, -LR * clipped / (clipped.abs() + 1e-8), atol=1e-3, rtol=1e-2)
