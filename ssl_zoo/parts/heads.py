"""Projector and predictor: multilayer perceptrons, on lightly's `ProjectionHead`.

A linear layer has a bias only where no batch normalisation follows it. BYOL's code keeps a bias before the
BN as well; the BN subtracts it again, so it changes nothing that is computed.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 4.4: BN in the heads; B: a predictor a quarter wide)
- [1] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (a single bias as predictor)
- [2] Tian et al., 2021, https://arxiv.org/abs/2102.06810 (Table 3: symmetric predictors)
- [3] DINO, 2021, https://arxiv.org/abs/2104.14294 (Appendix C: a projector with GELU and without BN)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import PredictorConfig, ProjectorConfig
from ssl_zoo.from_lightly import ProjectionHead
from ssl_zoo.parts.predictors import Direct, Optimal, Predictor
from ssl_zoo.parts.schedule import Progress

__all__ = ["build_predictor", "build_projector"]


def build_projector(config: ProjectorConfig, input_dim: int) -> nn.Module:
    """Builds the projector, (N, input_dim) to (N, config.output_dim); the identity for `layers: 0`."""
    if config.layers == 0:
        return nn.Identity()
    widths = [input_dim, *[config.hidden_dim] * (config.layers - 1)]
    blocks = [_hidden(a, b, config.bn_hidden, config.activation) for a, b in pairwise(widths)]
    bn = nn.BatchNorm1d(config.output_dim, affine=config.bn_output_affine) if config.bn_output else None
    if bn is not None and config.bn_output_affine and not config.bn_output_center:
        bn.bias.requires_grad_(False)  # stays 0
    head: nn.Module = ProjectionHead(
        [*blocks, (widths[-1], config.output_dim, bn, None, bn is None and config.bias_output)]
    )
    return head


def build_predictor(config: PredictorConfig, dim: int) -> Predictor:
    """Builds the predictor h, (N, dim) to (N, dim). Not trainable: no gradient moves its weights."""
    if config.kind == "identity":
        return Identity()
    bn = nn.BatchNorm1d(dim, affine=config.bn_output_affine) if config.bn_output else None
    bias = bn is None and config.bias_output
    width = config.hidden_dim or max(1, dim // 4)
    head: Predictor
    if config.kind == "bias":
        head = Bias(dim)
    elif config.kind == "direct":
        head = Direct(dim, config.direct)
    elif config.kind == "optimal":
        head = Optimal(dim, config.optimal)
    elif config.kind == "linear":
        head = Perceptron([(dim, dim, bn, None, bias)], config.symmetric)
    else:
        hidden = _hidden(dim, width, config.bn_hidden)
        head = Perceptron([hidden, (width, dim, bn, None, bias)], config.symmetric)
    head.requires_grad_(config.trainable)
    return head


class Identity(nn.Identity, Predictor):
    """h(z) = z."""


class Bias(Predictor):
    """h(z) = z/|z| + b, b a trained vector that starts at 0: the smallest predictor that Zhang et al. study.

    b is added to Z = z/|z|, not to z, so that a step of b is worth the same whatever the length of z. So it is in what
    is probably their code, pantheon5100/simsimpp, solo/methods/new_predictor.py, `BiasLayer`.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, z: Tensor) -> Tensor:
        """Maps embeddings (N, D) to predictions (N, D)."""
        return normalize(z, dim=1) + self.bias


class Perceptron(ProjectionHead, Predictor):  # type: ignore[misc]
    """One or two linear layers. Symmetric: W = W^T, or W_2 = W_1^T of two layers, whatever stands between them.

    The mean of both takes their place after each optimizer step, as in luckmatters, ssl/real-dataset/byol_trainer.py,
    `regulate_predictor`; here it does at initialisation and with another run's weights as well, so that no step has
    another predictor.

    Args:
        blocks: the layers, as lightly's `ProjectionHead` takes them.
        symmetric: whether the weights are kept symmetric.
    """

    def __init__(
        self, blocks: Sequence[tuple[int, int, nn.Module | None, nn.Module | None, bool]], symmetric: bool
    ) -> None:
        super().__init__(blocks)
        self.symmetric = symmetric
        self._symmetrize()
        # `start_from` may bring a free one.
        self.register_load_state_dict_post_hook(_symmetrize_loaded)  # type: ignore[no-untyped-call]

    def update(self, progress: Progress) -> None:
        """Makes the weights symmetric again."""
        self._symmetrize()

    @torch.no_grad()
    def _symmetrize(self) -> None:
        if self.symmetric:
            weights = [layer.weight for layer in self.modules() if isinstance(layer, nn.Linear)]
            mean = (weights[0] + weights[-1].T) / 2  # (D, D), or (hidden, D)
            weights[0].copy_(mean)
            weights[-1].copy_(mean.T)


def _symmetrize_loaded(module: nn.Module, incompatible_keys: object) -> None:
    assert isinstance(module, Perceptron)
    module._symmetrize()


def _hidden(
    input_dim: int, output_dim: int, bn: bool, activation: str = "relu"
) -> tuple[int, int, nn.Module | None, nn.Module, bool]:
    function = nn.GELU() if activation == "gelu" else nn.ReLU(inplace=True)
    return input_dim, output_dim, nn.BatchNorm1d(output_dim) if bn else None, function, not bn
