"""Blocks of what follows from the correlation of the embeddings: predictors set by the data, UniGrad's gradient."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ssl_zoo.config.schema.types import Count, Fraction, NonNegative, Positive, section


@section
class DirectConfig:
    """DirectPred, and DirectCopy with power=1: https://arxiv.org/abs/2102.06810, https://arxiv.org/abs/2110.04947."""

    power: Positive = 0.5
    """Power of the correlation's eigenvalues in W. 0.5: DirectPred, eigenvalues divided by the largest; 1 without
    shift: DirectCopy, F + eps I."""
    rho: Fraction = 0.3
    """Fraction of itself that the correlation keeps in each optimizer step."""
    eps: NonNegative = 0.1
    """Added to the eigenvalues of W. Tian et al., Table 6."""
    shift: Annotated[float, Field(ge=-1, lt=1)] = 0.0
    """c in (max(s - c, 0))^power, s the eigenvalues divided by the largest. Tian et al., Table 7, with eps=0."""
    every: Count = 1
    """Optimizer steps from one setting of W to the next; between them W follows its gradient."""


@section
class OptimalConfig:
    """The least-squares optimal linear predictor: https://arxiv.org/abs/2102.06810, Table 1."""

    rho: Fraction = 0.0
    """Fraction of themselves that the correlations keep in each optimizer step. 0: of the last batch alone."""
    ridge: Positive = 1.0e-3
    """Added to the eigenvalues of E[z z^T] before it is inverted, as a multiple of their mean."""
    every: Count = 1
    """Optimizer steps from one setting of W to the next; between them W follows its gradient."""


@section
class UnifiedConfig:
    """UniGrad, the gradient -z_2 + lambda z_1 F with respect to a unit z_1: https://arxiv.org/abs/2112.05141."""

    weight: NonNegative = 100.0
    """lambda, the weight of the targets' correlation F."""
    rho: Fraction = 0.99
    """Fraction of itself that F keeps in each optimizer step."""
