"""T, the assignment of targets: the identity, or SwAV's codes over prototypes by Sinkhorn-Knopp.

Written here rather than taken from lightly, whose `sinkhorn` runs under a hidden `no_grad`: stop-gradient
is the equation's own line, and switched off the gradient flows through these iterations too.

- [0] SwAV, 2020, https://arxiv.org/abs/2006.09882 (Sec. 3.1, Eq. 3-5; Listing 1)
- [1] official code, https://github.com/facebookresearch/swav
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ssl_zoo.schema import SiameseConfig

__all__ = ["Prototypes", "Sinkhorn", "build_assignment"]


class Prototypes(nn.Module):
    """Scores of unit vectors against unit prototypes; the identity where there are none.

    Args:
        dim: width D of the embeddings.
        number: how many prototypes K; 0 for none.
    """

    weight: nn.Parameter | None  # (K, D)

    def __init__(self, dim: int, number: int) -> None:
        super().__init__()
        # Drawn as nn.Linear draws its weight, which is what the official code uses.
        weight = nn.Parameter(nn.Linear(dim, number, bias=False).weight.detach()) if number else None
        self.register_parameter("weight", weight)
        self.renormalize()

    def forward(self, z: Tensor) -> Tensor:
        """Embeddings (N, D) to scores (N, K)."""
        return z if self.weight is None else linear(normalize(z, dim=1), self.weight)

    @torch.no_grad()
    def renormalize(self) -> None:
        """Sets each prototype to unit length, outside the gradient as the official code does."""
        if self.weight is not None:
            self.weight.copy_(normalize(self.weight, dim=1))


class Sinkhorn(nn.Module):
    """Codes Q = Diag(u) exp(scores / epsilon) Diag(v): each image one unit, prototypes used equally.

    Computed on logarithms, so that no score overflows.
    """

    def __init__(self, epsilon: float, iterations: int) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.iterations = iterations

    def forward(self, scores: Tensor) -> Tensor:
        """Scores (N, K) to codes (N, K) whose rows sum to 1 and whose columns sum to about N / K."""
        log_q = scores / self.epsilon
        for _ in range(self.iterations):
            log_q = log_q - log_q.logsumexp(dim=0, keepdim=True)  # prototypes share the images equally
            log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)  # each image is one unit
        return log_q.exp()


def build_assignment(config: SiameseConfig) -> nn.Module:
    """The assignment that `method.assignment` names."""
    if config.assignment == "sinkhorn":
        return Sinkhorn(config.sinkhorn.epsilon, config.sinkhorn.iterations)
    return nn.Identity()
