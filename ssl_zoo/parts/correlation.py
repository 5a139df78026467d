"""Correlation matrix of embeddings: a moving average over optimizer steps, not centred, the same in all processes.

    F <- rho F + (1 - rho) mean_B a b^T

The first step takes mean_B alone, as both codes do. Without b it is a's own correlation, E[a a^T].

- [0] Tian et al., 2021, https://arxiv.org/abs/2102.06810 (Eq. 19). Code: facebookresearch/luckmatters,
  ssl/real-dataset/byol_trainer.py, class Accumulator
- [1] UniGrad, 2022, https://arxiv.org/abs/2112.05141. Code: fundamentalvision/UniGrad, project/pretrainer.py, where F
  already holds the batch whose gradient it enters
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_zoo.distributed import average

__all__ = ["Correlation"]


class Correlation(nn.Module):
    """F of embeddings (N, D), or of pairs of them. It changes between optimizer steps only.

    Args:
        dim: D.
        rho: fraction of itself that F keeps in each optimizer step.
    """

    matrix: Tensor  # (D, D): F
    updates: Tensor  # (), how many optimizer steps it has seen

    def __init__(self, dim: int, rho: float) -> None:
        super().__init__()
        self.rho = rho
        self.register_buffer("matrix", torch.zeros(dim, dim))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.noted: list[tuple[Tensor, Tensor]] = []

    def forward(self, a: Tensor) -> Tensor:
        """Returns F (D, D) as one more step with the embeddings a (N, D), of all processes, would leave it."""
        return self._with(a.T @ a / len(a))

    def remember(self, a: Tensor, b: Tensor | None = None) -> None:
        """Notes this process's embeddings a (N, D), or pairs of a and b (N, D), for the next `update`."""
        if self.training:
            self.noted.append((a.float(), a.float() if b is None else b.float()))

    @torch.no_grad()
    def update(self) -> None:
        """Takes in what all processes noted since the last optimizer step."""
        if self.noted:
            mean = torch.stack([a.T @ b / len(a) for a, b in self.noted]).mean(dim=0)  # (D, D)
            self.matrix.copy_(self._with(average(mean)))
            self.updates.add_(1)
            self.noted.clear()

    def _with(self, mean: Tensor) -> Tensor:
        return torch.where(self.updates == 0, mean, self.rho * self.matrix + (1 - self.rho) * mean)

    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Returns the eigenvalues (D,) of F, ascending and none below 0, and the eigenvectors, the columns of (D, D).

        Those of a diverged run's F, which has none, are those of 0: no step fails before the loss is reported.
        """
        matrix = torch.where(self.matrix.isfinite().all(), self.matrix, 0.0)
        values, vectors = torch.linalg.eigh(matrix)
        return values.clamp(min=0), vectors
