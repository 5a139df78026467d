"""Projector and predictor: multilayer perceptrons, on lightly's `ProjectionHead`.

A linear layer has a bias only where no batch normalisation follows it. BYOL's code keeps a bias before the
BN as well; the BN subtracts it again, so it changes nothing that is computed.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 4.4: BN in the heads; B: a predictor a quarter wide)
- [1] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (a single bias as predictor)
"""

from __future__ import annotations

from itertools import pairwise

import torch
from lightly.models.modules.heads import ProjectionHead
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import PredictorConfig, ProjectorConfig

__all__ = ["build_predictor", "build_projector"]


def build_projector(config: ProjectorConfig, input_dim: int) -> nn.Module:
    """Builds the projector, (N, input_dim) to (N, config.output_dim); the identity for `layers: 0`."""
    if config.layers == 0:
        return nn.Identity()
    widths = [input_dim, *[config.hidden_dim] * (config.layers - 1)]
    blocks = [_hidden(a, b, config.bn_hidden) for a, b in pairwise(widths)]
    bn = nn.BatchNorm1d(config.output_dim, affine=config.bn_output_affine) if config.bn_output else None
    if bn is not None and config.bn_output_affine and not config.bn_output_center:
        bn.bias.requires_grad_(False)  # stays 0
    head: nn.Module = ProjectionHead(
        [*blocks, (widths[-1], config.output_dim, bn, None, bn is None and config.bias_output)]
    )
    return head


def build_predictor(config: PredictorConfig, dim: int) -> nn.Module:
    """Builds the predictor h, (N, dim) to (N, dim). Not trainable: its weights keep their random start."""
    if config.kind == "identity":
        return nn.Identity()
    bn = nn.BatchNorm1d(dim) if config.bn_output else None
    bias = bn is None and config.bias_output
    head: nn.Module
    if config.kind == "bias":
        head = Bias(dim)
    elif config.kind == "linear":
        head = ProjectionHead([(dim, dim, bn, None, bias)])
    else:
        width = config.hidden_dim or max(1, dim // 4)
        head = ProjectionHead([_hidden(dim, width, config.bn_hidden), (width, dim, bn, None, bias)])
    head.requires_grad_(config.trainable)
    return head


class Bias(nn.Module):
    """h(z) = z/|z| + b, b a trained vector that starts at 0: the smallest predictor that Zhang et al. study."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, z: Tensor) -> Tensor:
        """Maps embeddings (N, D) to predictions (N, D)."""
        return normalize(z, dim=1) + self.bias


def _hidden(input_dim: int, output_dim: int, bn: bool) -> tuple[int, int, nn.Module | None, nn.Module, bool]:
    return input_dim, output_dim, nn.BatchNorm1d(output_dim) if bn else None, nn.ReLU(inplace=True), not bn
