"""Batch normalisation over the images of all processes: `method.batch_norm: sync`.

On a GPU torch's own `SyncBatchNorm` does it (through timm, whose layers join the activation to the
normalisation). It refuses a CPU; for that the same formula is written here, with `gather`'s gradient.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 3: synchronised BN)
"""

from __future__ import annotations

from typing import cast

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_zoo.distributed import gather, world_size

__all__ = ["CpuSyncBatchNorm", "synchronize"]


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Replaces a BN, with its parameters, buffers and names; each process must hold equally many images."""

    def __init__(self, bn: _BatchNorm) -> None:
        super().__init__(bn.num_features, bn.eps, bn.momentum, bn.affine, bn.track_running_stats)
        self.weight, self.bias = bn.weight, bn.bias
        self.running_mean, self.running_var = bn.running_mean, bn.running_var
        self.num_batches_tracked = bn.num_batches_tracked
        self.training = bn.training
        for name, child in bn.named_children():  # timm's activation and drop
            self.add_module(name, child)

    def _check_input_dim(self, input: Tensor) -> None:
        assert input.dim() >= 2

    def forward(self, input: Tensor) -> Tensor:
        """Normalises (N, C, ...); in training mode by the statistics over the images of all processes."""
        synced = self.training and world_size() > 1
        y = self._synced(input) if synced else super().forward(input)
        for child in self.children():
            y = child(y)
        return y

    def _synced(self, x: Tensor) -> Tensor:
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float()
            mean = gather(wide.mean(dim=dims)[None]).mean(dim=0)  # (C,)
            centred = wide - mean.view(shape)
            var = gather(centred.square().mean(dim=dims)[None]).mean(dim=0)  # (C,)
            self._track(mean, var, world_size() * x.numel() // x.shape[1])
            y = centred * (var + self.eps).rsqrt().view(shape)
            if self.affine:
                y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(var * count / max(1, count - 1), weight)


def synchronize(module: nn.Module, device: torch.device) -> nn.Module:
    """Replaces each BN in a module by one whose statistics are over all processes."""
    if device.type == "cuda":
        return cast("nn.Module", convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]
    if isinstance(module, _BatchNorm):
        return CpuSyncBatchNorm(module)
    for name, child in list(module.named_children()):
        setattr(module, name, synchronize(child, device))
    return module
