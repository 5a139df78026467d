"""Predictors whose weights the data set: h(z) = W z, W a function of correlations rather than of gradients alone.

    F = moving average of E[z z^T] = U diag(s) U^T             of the anchors' embeddings, not centred
    DirectPred    W = U diag( (s / max s)^(1/2) + eps ) U^T
    DirectCopy    W = F + eps I                                 without an eigendecomposition
    optimal       W = argmin E |W z - t|^2 = E[t z^T] (F + ridge)^-1

W is set after every n-th optimizer step, the first included; in the steps between it follows its gradient.

Where paper and code differ: Tian et al. write sqrt(s_j) + eps max_j s_j. Their code divides s by its maximum before the
root and keeps the result above 1e-4. This follows the code. Table 1's `solve` has the inverse on the left of E[t z^T]
by default and a ridge that no file states. This is the least-squares solution, with a ridge relative to F's mean
eigenvalue.

- [0] Tian et al., 2021, https://arxiv.org/abs/2102.06810 (Eq. 18, 19; Tables 1, 6 and 7)
- [1] DirectCopy: Wang et al., 2021, https://arxiv.org/abs/2110.04947
- [2] code of both, facebookresearch/luckmatters, ssl/real-dataset/byol_trainer.py: `compute_w_corr` has the spectrum,
  `regulate_predictor` the cases `corr`, `directcopy`, `solve` and `symmetric`
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import DirectConfig, OptimalConfig
from ssl_zoo.parts.correlation import Correlation
from ssl_zoo.parts.schedule import Progress

__all__ = ["Direct", "Optimal", "Predictor"]

SMALLEST = 1e-4  # of the eigenvalues of W, as in the code


class Predictor(nn.Module):
    """Interface of h, which maps embeddings (N, D) to predictions (N, D). Most follow their gradient alone."""

    def remember(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Notes the embeddings and their targets, (N, D) each, of each term of the loss."""

    def update(self, progress: Progress) -> None:
        """Called after each optimizer step."""


class SetByData(Predictor):
    """h(z) = W z; see the head of this file.

    Args:
        dim: D.
        rho: fraction of itself that a correlation keeps in each optimizer step.
        every: optimizer steps from one setting of W to the next.
    """

    def __init__(self, dim: int, rho: float, every: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim, bias=False)
        self.correlation = Correlation(dim, rho)
        self.every = every

    def forward(self, z: Tensor) -> Tensor:
        """Maps embeddings (N, D) to predictions (N, D)."""
        p: Tensor = self.linear(z)
        return p

    def remember(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        for z, _ in pairs:
            self.correlation.remember(z)

    @torch.no_grad()
    def update(self, progress: Progress) -> None:
        """Updates the correlation and, after every n-th step, sets W."""
        self.correlation.update()
        if progress.step % self.every == 0:
            self.linear.weight.copy_(self.weight())

    @abstractmethod
    def weight(self) -> Tensor:
        """Returns W (D, D) as the correlations have it."""


class Direct(SetByData):
    """DirectPred (power 1/2) and DirectCopy (power 1): W shares its eigenvectors with the correlation."""

    def __init__(self, dim: int, config: DirectConfig) -> None:
        super().__init__(dim, config.rho, config.every)
        self.config = config

    def weight(self) -> Tensor:
        power, eps, shift = self.config.power, self.config.eps, self.config.shift
        if power == 1 and shift == 0:
            f = self.correlation.matrix
            return f + eps * torch.eye(len(f), device=f.device)
        s, u = self.correlation.spectrum()
        s = s / s.max().clamp(min=torch.finfo(s.dtype).tiny)
        s = (s - shift).clamp(min=SMALLEST) if shift else s
        return u * (s**power + eps).clamp(min=SMALLEST) @ u.T


class Optimal(SetByData):
    """Least-squares solution for the pairs of embeddings and their targets."""

    def __init__(self, dim: int, config: OptimalConfig) -> None:
        super().__init__(dim, config.rho, config.every)
        self.cross = Correlation(dim, config.rho)  # E[t z^T]
        self.ridge = config.ridge

    def remember(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().remember(pairs)
        for z, t in pairs:
            self.cross.remember(t, z)

    @torch.no_grad()
    def update(self, progress: Progress) -> None:
        self.cross.update()
        super().update(progress)

    def weight(self) -> Tensor:
        s, u = self.correlation.spectrum()
        inverse = 1 / (s + self.ridge * s.mean()).clamp(min=torch.finfo(s.dtype).tiny)
        return self.cross.matrix @ (u * inverse) @ u.T
