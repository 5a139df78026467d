"""Batch statistics over several processes, without processes: those of a batch in equal parts."""

from __future__ import annotations

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from ssl_zoo.parts import batchnorm
from ssl_zoo.parts.batchnorm import CpuSyncBatchNorm, synchronize


def parts_of(x: Tensor, bn: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What the processes that hold the halves of x would compute, one after the other.

    `gather` is given what the other process would send: the same statistic of its half.
    """
    halves = x.chunk(2)

    def meet(mine: Tensor, mean: Tensor | None) -> list[Tensor]:
        other = halves[1] if torch.equal(mine, halves[0]) else halves[0]
        return [other if mean is None else other - mean]

    outputs = []
    for mine in halves:
        calls: list[Tensor] = []

        def gather(own: Tensor, mine: Tensor = mine, calls: list[Tensor] = calls) -> Tensor:
            mean = calls[0].mean(dim=0).view(1, -1, *[1] * (x.ndim - 2)) if calls else None
            (other,) = meet(mine, mean)
            dims = [0, *range(2, x.ndim)]
            theirs = (other if mean is None else other.square()).mean(dim=dims)[None]
            both = torch.cat([own, theirs])
            calls.append(both)
            return both

        monkeypatch.setattr(batchnorm, "gather", gather)
        monkeypatch.setattr(batchnorm, "world_size", lambda: 2)
        outputs.append(bn(mine))
    return torch.cat(outputs)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, BatchNormAct2d])
def test_local_and_synchronised_statistics(kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    pixels = [] if kind is nn.BatchNorm1d else [3, 3]
    x = torch.randn(8, 5, *pixels) + torch.arange(8.0).view(-1, 1, *[1 for _ in pixels])
    bn = kind(5)
    expected = bn(x)
    running = bn.running_mean.clone(), bn.running_var.clone()
    local = torch.cat([kind(5)(half) for half in x.chunk(2)])
    synced = synchronize(nn.Sequential(kind(5)), torch.device("cpu"))
    assert isinstance(synced[0], CpuSyncBatchNorm)
    assert synced.state_dict().keys() == nn.Sequential(bn).state_dict().keys()
    with monkeypatch.context() as patch:
        out = parts_of(x, synced[0], patch)
    torch.testing.assert_close(out, expected)
    assert (local - expected).abs().max() > 0.1, "the halves' own statistics differ"
    # The halves were computed one after the other, so the running statistics moved twice by the same amount.
    twice = kind(5)
    twice(x)
    twice(x)
    torch.testing.assert_close(synced[0].running_mean, twice.running_mean)
    torch.testing.assert_close(synced[0].running_var, twice.running_var)
    assert not torch.equal(running[0], twice.running_mean)
    torch.testing.assert_close(synced.eval()(x), twice.eval()(x))


def test_one_process_leaves_batch_norm_as_it_is() -> None:
    x = torch.randn(6, 4)
    torch.testing.assert_close(synchronize(nn.BatchNorm1d(4), torch.device("cpu"))(x), nn.BatchNorm1d(4)(x))
