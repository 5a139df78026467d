"""Metrics of how embeddings lie on the unit sphere, which show every kind of collapse.

Z = z / ||z|| are the embeddings of N images, o their mean, r = Z - o the residuals; see `embeddings`.

All but the alignment belong to one batch. They are computed for each view by itself and averaged: stacked,
the 2N vectors would hold N pairs of near twins, which raise the uniformity and are not different images.
"""

from __future__ import annotations

import torch

from .declaration import CSV, LABEL_FREE, RESULT, SUITE, metric
from .embeddings import Embeddings

__all__ = ["ZHANG", "center_ratio", "covariance", "residual_ratio"]

ZHANG = "[Zhang et al.](https://arxiv.org/abs/2203.16262)"
WANG = "[Wang & Isola](https://arxiv.org/abs/2005.10242)"
WITH_FEATURES = (CSV, RESULT, SUITE, LABEL_FREE)  # metrics that protocol=label_free takes of features as well


@metric(
    "output_std_ratio",
    title="output std ratio",
    reading="1 isotropic, 0 collapsed",
    meaning="Standard deviation of z/|z| per channel, mean over the channels, times √D. 1: spread evenly, as an "
    "isotropic Gaussian; 0: all outputs are one vector, complete collapse.",
    source="[SimSiam, Figure 2](https://arxiv.org/abs/2011.10566)",
    chart="Output std ratio",
    lines=(("isotropic", 1.0), ("collapsed", 0.0)),
    bottom=0.0,
    files=WITH_FEATURES,
)
def output_std_ratio(view: Embeddings) -> float:
    return float(view.unit.std(dim=0).mean() * view.unit.shape[1] ** 0.5)


@metric(
    "center_ratio",
    title="center ratio",
    reading="0 centred, 1 collapsed",
    meaning="m_o = |o|, the length of the mean of z/|z|: the part that all images share. 0: none; 1: collapsed.",
    source=ZHANG,
    chart="Center ratio",
    bottom=0.0,
    closing=False,
    files=WITH_FEATURES,
)
def center_ratio(view: Embeddings) -> float:
    return float(torch.linalg.vector_norm(view.center))


@metric(
    "residual_ratio",
    title="residual ratio",
    reading="0 collapsed",
    meaning="m_r, the mean distance of z/|z| from o: the part that tells images apart; mean(|r|²) = 1 − m_o². "
    "0: collapsed.",
    source=ZHANG,
    chart="Residual ratio",
    bottom=0.0,
    closing=False,
    files=WITH_FEATURES,
)
def residual_ratio(view: Embeddings) -> float:
    return float(torch.linalg.vector_norm(view.residuals, dim=1).mean())


@metric(
    "effective_rank",
    title="effective rank",
    reading="1 to D",
    meaning="exp of the entropy of the singular values of the centred z/|z|, 1 to min(D, N − 1): how many directions "
    "the differences between images use. Low while the output std ratio is high: dimensional collapse.",
    better="higher",
    source="Roy and Vetterli, 2007 (EUSIPCO)",
    chart="Effective rank of z/|z|",
    bottom=0.0,
    files=WITH_FEATURES,
)
def effective_rank(view: Embeddings) -> float:
    if not view.energies.any():
        return 1.0
    sigma = view.energies.sqrt()
    p = sigma / sigma.sum()
    return float(torch.special.entr(p).sum().exp())


@metric(
    "alignment",
    title="alignment",
    reading="lower is closer",
    meaning="Mean squared distance between the z/|z| of two views of an image, 0 to 4. Lower: more invariant to the "
    "augmentation.",
    source=WANG,
    views=2,
)
def alignment(a: Embeddings, b: Embeddings) -> float:
    return float((a.unit - b.unit).square().sum(dim=1).mean())


@metric(
    "uniformity",
    title="uniformity",
    reading="lower is wider",
    meaning="log of the mean over pairs of images of exp(−2 × squared distance of their z/|z|), −8 to 0: how evenly "
    "the images lie on the sphere. 0: all in one place; −4: as even as chance makes it.",
    source=WANG,
    files=WITH_FEATURES,
)
def uniformity(view: Embeddings, chunk: int = 1024) -> float:
    z, N = view.unit, len(view.unit)
    # ||z_i - z_j||^2 = 2 - 2 cos. Over all ordered pairs every unordered one counts twice, and i = j adds 1.
    # In chunks, so that memory is chunk * N.
    total = torch.stack([(4.0 * (block @ z.T) - 4.0).exp().sum() for block in torch.split(z, chunk)]).sum()
    return float(((total - N) / (N * (N - 1))).log())


@metric(
    "stable_rank",
    title="stable rank",
    reading="1 one direction",
    meaning="Sum of the squared singular values of the centred z/|z| over the largest, 1 to min(D, N − 1): how many "
    "directions there would be if all were as strong as the strongest. Weak directions count less than in the "
    "effective rank.",
    better="higher",
    source="[Rudelson and Vershynin](https://arxiv.org/abs/math/0503442)",
    closing=False,
)
def stable_rank(view: Embeddings) -> float:
    return float(view.energies.sum() / view.energies[-1]) if view.energies.any() else 1.0


@metric(
    "covariance",
    title="covariance",
    reading="0 decorrelated",
    meaning="Sum of the squared off-diagonal entries of the covariance of z/|z|, over D: how much its channels repeat "
    "one another.",
    source=f"[VICReg](https://arxiv.org/abs/2105.04906), Eq. 4, of unit vectors; {ZHANG} plots it",
    chart="Covariance of z/|z|",
    bottom=0.0,
    closing=False,
)
def covariance(view: Embeddings) -> float:
    r, (N, D) = view.residuals, view.residuals.shape
    entries = r.T @ r / (N - 1)  # (D, D)
    return float((entries.square().sum() - entries.diagonal().square().sum()) / D)
