"""Decorrelation: a regulariser on what the channels of the embeddings share.

    R = 1/D  sum over a != b of  C_ab^2        C: covariance, or correlation, of the channels of sqrt(D) z/|z|

mean over the views that pass the trained encoder, C over the images of all processes. Those are both views of a pair,
in an asymmetric method too; but the anchors' alone, one view of an asymmetric pair, where targets are encoded apart:
by a momentum encoder, by weights that stand still, or as an expectation.

This is our form: Zhang et al. take a correlation regulariser whose formula is not known to us. The sum is VICReg's
covariance term. z is on the sphere, as a loss of directions leaves the length of z free, which would make R small
without decorrelating anything. By sqrt(D) the covariance of isotropic embeddings is the identity, so that a weight
means the same for any width; without it R is D^2 times smaller, the metric `covariance`.

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Fig. 5b, Appendix A.6)
- [1] VICReg, 2021, https://arxiv.org/abs/2105.04906 (Eq. 4)
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import DecorrelationConfig
from ssl_zoo.distributed import gather

__all__ = ["Decorrelation"]

EPS = 1e-5  # added to a variance before it divides, as BN does


class Decorrelation(nn.Module):
    """Adds R to the loss, or takes its place: weight * R."""

    def __init__(self, config: DecorrelationConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, loss: Tensor, z: Iterable[Tensor]) -> Tensor:
        """Returns the regularised loss, a scalar.

        Args:
            loss: the scaled mean over pairs, a scalar; `loss_scale` does not multiply R.
            z: embeddings of each view that the trained encoder saw, (N, D) each, of any float type.
        """
        if not self.config.weight:
            return loss
        term = self.config.weight * torch.stack([self.penalty(gather(z_i.float())) for z_i in z]).mean()
        return term if self.config.alone else loss + term

    def penalty(self, z: Tensor) -> Tensor:
        """Maps the embeddings (N, D) of a view, from all processes, to R."""
        images, dim = z.shape
        z = normalize(z, dim=1) * dim**0.5
        z = z - z.mean(dim=0)
        if self.config.standardized:
            z = z * (z.var(dim=0) + EPS).rsqrt()
        covariance = z.T @ z / (images - 1)  # (D, D)
        return (covariance.square().sum() - covariance.diagonal().square().sum()) / dim
