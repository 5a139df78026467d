"""Projector and predictor: depth, widths, biases; and clipping, the one switch of the trainer that has no home."""

from __future__ import annotations

import pytest
import torch
from helpers import build, make_views
from runs import words
from torch import nn

import ssl_zoo
from ssl_zoo.parts.heads import build_projector
from ssl_zoo.schema import ProjectorConfig


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


def test_gradients_are_clipped(tmp_path: pytest.TempPathFactory) -> None:
    """One step of plain SGD moves the weights by lr times the clipped norm, at most."""
    norm, lr = 1e-3, 0.5
    more = (
        f"optimizer.clip_grad_norm={norm}", f"optimizer.lr={lr}", "optimizer.lr_scaling=none", "optimizer.momentum=0",
        "optimizer.weight_decay=0", "data.limit=32", "epochs=1", "monitor.baselines=false", "optimizer.interval=step",
    )  # fmt: skip
    run = words("simsiam", *more)
    before = torch.cat([p.detach().flatten() for p in ssl_zoo.build_method(run).parameters()])
    ssl_zoo.train([*run, f"run_dir={tmp_path}/run"], silent=True)
    state = torch.load(f"{tmp_path}/run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    method = ssl_zoo.build_method(run)
    names = [f"method.{name}" for name, _ in method.named_parameters()]
    after = torch.cat([state[name].flatten() for name in names])
    assert (after - before).norm().item() == pytest.approx(lr * norm, rel=1e-2)
