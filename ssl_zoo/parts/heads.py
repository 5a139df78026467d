"""Projector and predictor: multilayer perceptrons, on lightly's `ProjectionHead`.

A linear layer has a bias only where no batch normalisation follows it. BYOL's code keeps a bias before the
BN as well; the BN subtracts it again, so it changes nothing that is computed.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 4.4: BN in the heads)
"""

from __future__ import annotations

from itertools import pairwise

from lightly.models.modules.heads import ProjectionHead
from torch import nn

from ssl_zoo.schema import PredictorConfig, ProjectorConfig

__all__ = ["build_predictor", "build_projector"]


def build_projector(config: ProjectorConfig, input_dim: int) -> nn.Module:
    """The projector, (N, input_dim) to (N, config.output_dim); the identity for `layers: 0`."""
    if config.layers == 0:
        return nn.Identity()
    widths = [input_dim, *[config.hidden_dim] * (config.layers - 1)]
    blocks = [_hidden(a, b, config.bn_hidden) for a, b in pairwise(widths)]
    bn = nn.BatchNorm1d(config.output_dim, affine=config.bn_output_affine) if config.bn_output else None
    head: nn.Module = ProjectionHead(
        [*blocks, (widths[-1], config.output_dim, bn, None, bn is None and config.bias_output)]
    )
    return head


def build_predictor(config: PredictorConfig, dim: int) -> nn.Module:
    """The predictor h, (N, dim) to (N, dim). Not trainable: its weights stay as they were drawn."""
    if config.kind == "identity":
        return nn.Identity()
    bn = nn.BatchNorm1d(dim) if config.bn_output else None
    bias = bn is None and config.bias_output
    if config.kind == "linear":
        head: nn.Module = ProjectionHead([(dim, dim, bn, None, bias)])
    else:
        hidden = _hidden(dim, config.hidden_dim, config.bn_hidden)
        head = ProjectionHead([hidden, (config.hidden_dim, dim, bn, None, bias)])
    head.requires_grad_(config.trainable)
    return head


def _hidden(input_dim: int, output_dim: int, bn: bool) -> tuple[int, int, nn.Module | None, nn.Module, bool]:
    return input_dim, output_dim, nn.BatchNorm1d(output_dim) if bn else None, nn.ReLU(inplace=True), not bn
