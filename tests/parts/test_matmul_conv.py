"""Convolutions as matrix products equal torch's, and stand in where they are said to."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from ssl_zoo.parts.matmul_conv import MatmulConv2d, convolve, use_matmul_convolutions


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [
        (4, 3, 1, 1),
        (5, 3, 2, 1),
        (8, 3, 2, 1),
        (4, 1, 2, 0),
        (5, 1, 1, 0),
        (1, 3, 2, 1),
        (6, 5, 1, 2),
        (6, 3, 1, 0),
    ],
)
def test_it_is_the_convolution(
    side: int, kernel: int, stride: int, padding: int, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, side, side + 1, generator=generator, dtype=torch.float64).to(memory_format=layout)
    weight = torch.randn(5, 4, kernel, kernel, generator=generator, dtype=torch.float64).to(
        memory_format=layout
    )
    results = []
    for function in (convolve, lambda x, w, s, p: functional.conv2d(x, w, None, s, p)):
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        y = function(*inputs, stride, padding)
        results.append((y, *torch.autograd.grad((y * y.detach().cos()).sum(), inputs)))
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_network_computes_and_learns_the_same() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=0).train()
    changed = copy.deepcopy(network)
    use_matmul_convolutions(changed)
    assert network.state_dict().keys() == changed.state_dict().keys()
    assert sum(isinstance(part, MatmulConv2d) for part in changed.modules()) > 5
    x = torch.randn(32, 3, 32, 32)
    assert torch.equal(network(x), changed(x)), "outside bf16 it is the convolution it was"
    exact = _gradient(network, x, bf16=False)
    errors = [
        float((_gradient(model, x, bf16=True) - exact).norm() / exact.norm()) for model in (network, changed)
    ]
    assert errors[1] < 1.5 * errors[0]


def _gradient(model: nn.Module, x: torch.Tensor, bf16: bool) -> torch.Tensor:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = model(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_only_what_is_slow_is_changed() -> None:
    def is_product(conv: nn.Conv2d, side: int) -> bool:
        model = nn.Sequential(conv)
        use_matmul_convolutions(model)
        with torch.autocast("cpu", torch.bfloat16):
            y = model(torch.randn(2, conv.in_channels, side, side, requires_grad=True))
        return "_Convolution" in str(y.grad_fn)

    assert is_product(nn.Conv2d(48, 48, 3, padding=1, bias=False), 4)
    assert not is_product(nn.Conv2d(48, 48, 3, padding=1, bias=False), 8)
    assert not is_product(nn.Conv2d(48, 32, 3, padding=1, bias=False), 4)
    assert is_product(nn.Conv2d(48, 48, 3, stride=2, padding=1, bias=False), 8)
    assert is_product(nn.Conv2d(8, 8, 1, stride=2, bias=False), 16)
    assert not is_product(nn.Conv2d(8, 8, 1, bias=False), 16)
    assert not is_product(nn.Conv2d(48, 48, 3, padding=1, groups=2, bias=False), 4)
    assert not is_product(nn.Conv2d(48, 48, 3, padding=2, dilation=2, bias=False), 4)
    assert not is_product(nn.Conv2d(48, 48, 3, padding="same", bias=False), 4)


def test_a_bias_is_added() -> None:
    model = nn.Sequential(nn.Conv2d(48, 50, 3, padding=1))
    x = torch.randn(2, 48, 3, 3)
    expected = model(x)
    use_matmul_convolutions(model)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    torch.testing.assert_close(y.float(), expected, rtol=0.03, atol=0.03)
