"""Prototypes: unit vectors with which embeddings are compared; SwAV's, and DINO's weight-normalised last layer.

- [0] SwAV, 2020, https://arxiv.org/abs/2006.09882 (Sec. 3.1). Code: https://github.com/facebookresearch/swav
- [1] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 6.2: by full gradient)
- [2] DINO, 2021, https://arxiv.org/abs/2104.14294 (Appendix C). Code: https://github.com/facebookresearch/dino,
  vision_transformer.py, `DINOHead`, with `norm_last_layer`
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ssl_zoo.config.schema import PrototypesConfig

__all__ = ["Prototypes"]


class Prototypes(nn.Module):
    """Scores of unit vectors against unit prototypes; the identity where there are none.

    Args:
        dim: width D of the embeddings.
        config: how many prototypes K, 0 for none; whether the gradient passes through their unit length.
    """

    weight: nn.Parameter | None  # (K, D)

    def __init__(self, dim: int, config: PrototypesConfig) -> None:
        super().__init__()
        # Drawn as nn.Linear draws its weight, which is what the official code uses.
        number = config.number
        weight = nn.Parameter(nn.Linear(dim, number, bias=False).weight.detach()) if number else None
        self.by_gradient = config.normalization == "gradient"
        self.register_parameter("weight", weight)
        self.renormalize()

    def forward(self, z: Tensor) -> Tensor:
        """Maps embeddings (N, D) to scores (N, K)."""
        if self.weight is None:
            return z
        return linear(normalize(z, dim=1), normalize(self.weight, dim=1) if self.by_gradient else self.weight)

    @torch.no_grad()
    def renormalize(self) -> None:
        """Sets each prototype to unit length, outside the gradient as the official code does."""
        if self.weight is not None and not self.by_gradient:
            self.weight.copy_(normalize(self.weight, dim=1))
