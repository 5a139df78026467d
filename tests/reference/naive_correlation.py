"""Correlations of embeddings by loops, written from the papers: Tian et al., Eq. 19, and UniGrad.

- [0] https://arxiv.org/abs/2102.06810
- [1] https://arxiv.org/abs/2112.05141
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def correlation(embeddings: Sequence[Tensor]) -> Tensor:
    """E[f f^T] (D, D) over the vectors of all batches (N, D), in float64."""
    vectors = [vector.double() for batch in embeddings for vector in batch]
    total = torch.zeros(len(vectors[0]), len(vectors[0]), dtype=torch.float64)
    for f in vectors:
        for i in range(len(f)):
            total[i] += f[i] * f
    return total / len(vectors)


def moved(matrix: Tensor | None, embeddings: Sequence[Tensor], rho: float) -> Tensor:
    """F <- rho F + (1 - rho) E[f f^T]; the expectation itself where there is no F yet."""
    latest = correlation(embeddings)
    return latest if matrix is None else rho * matrix + (1 - rho) * latest


def unigrad(z: Sequence[Tensor], targets: Sequence[Tensor], f: Tensor, weight: float) -> list[Tensor]:
    """The gradient with respect to each unit anchor, -z_j' + lambda z_i F: of view 1 (N, D), of view 2 (N, D)."""
    gradients = []
    for anchors, positives in ((z[0], targets[1]), (z[1], targets[0])):
        rows = []
        for anchor, positive in zip(anchors, positives, strict=True):
            negative = sum(anchor[i] * f[i] for i in range(len(f)))
            rows.append(weight * negative - positive)
        gradients.append(torch.stack(rows))
    return gradients
