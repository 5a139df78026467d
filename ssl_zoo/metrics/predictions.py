"""Metrics of the predictor: where its outputs lie on the unit sphere, beside the embeddings that they predict.

Z = z / |z| are the embeddings, P = h(z) / |h(z)| their predictions, o_z and o_p the means over the images. In SimSiam
the gradient on P of one view is Z of the other, which is P plus an extra gradient Z - P; its mean o_e = o_z - o_p moves
the centre, and takes the shared part of the outputs away if it points against o_p.

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (centre and residual; Fig. 5a: eta)
- [1] Tian et al., 2021, https://arxiv.org/abs/2102.06810 (the eigenspaces of predictor and correlation align)
"""

from __future__ import annotations

import torch

from .declaration import metric
from .embeddings import Embeddings
from .sphere import ZHANG, center_ratio, residual_ratio

__all__: list[str] = []

TIAN = "[Tian et al.](https://arxiv.org/abs/2102.06810)"


@metric(
    "prediction_center_ratio",
    title="prediction center ratio",
    reading="0 centred, 1 collapsed",
    meaning="m_o of the predictions P = h(z)/|h(z)|, the length of their mean.",
    source=ZHANG,
    chart="Center ratio of predictions",
    bottom=0.0,
    closing=False,
    needs="predictions",
)
def prediction_center_ratio(view: Embeddings) -> float:
    assert view.predictions is not None
    return center_ratio(view.predictions)


@metric(
    "prediction_residual_ratio",
    title="prediction residual ratio",
    reading="0 collapsed",
    meaning="m_r of the predictions, their mean distance from their mean.",
    source=ZHANG,
    chart="Residual ratio of predictions",
    bottom=0.0,
    closing=False,
    needs="predictions",
)
def prediction_residual_ratio(view: Embeddings) -> float:
    assert view.predictions is not None
    return residual_ratio(view.predictions)


@metric(
    "eta",
    title="eta",
    reading="below 0 the centre is taken away",
    meaning="The eta for which o_e − eta o_p is at right angles to o_p, o_e = o_z − o_p: how much of the predictions' "
    "centre the extra gradient Z − P adds; negative: it takes centre away. Undefined where o_p is 0.",
    source=f"{ZHANG}, Figure 5a",
    chart="eta",
    lines=(("0", 0.0),),
    closing=False,
    needs="predictions",
)
def eta(view: Embeddings) -> float:
    assert view.predictions is not None
    o_z, o_p = view.center, view.predictions.center
    return float((o_z @ o_p) / (o_p @ o_p) - 1)  # <o_e, o_p> / <o_p, o_p>


@metric(
    "inverse_cosine",
    title="inverse cosine",
    reading="1 inverted",
    meaning="Mean cosine between z and h_inv(h(z)), h_inv the inverse predictor: how well it undoes the predictor.",
    source=f"{ZHANG}, Figure 3",
    chart="Cosine of z and h_inv(h(z))",
    lines=(("inverted", 1.0),),
    closing=False,
    needs="recovered",
)
def inverse_cosine(view: Embeddings) -> float:
    assert view.recovered is not None
    return float((view.unit * Embeddings(view.recovered).unit).sum(dim=1).mean())


@metric(
    "eigenspace_alignment",
    title="eigenspace alignment",
    reading="1 aligned",
    meaning="|cos(u, W u)| over the eigenvectors u of the correlation E[z zᵀ], weighted by their eigenvalues; W is the "
    "weight of a linear predictor. 1: predictor and correlation have the same eigenvectors.",
    source=TIAN,
    chart="Alignment of the eigenspaces",
    lines=(("aligned", 1.0),),
    bottom=0.0,
    closing=False,
    needs="predictor_weight",
)
def eigenspace_alignment(view: Embeddings) -> float:
    assert view.predictor_weight is not None
    z = view.z.to(view.unit.device, torch.float64)
    w = view.predictor_weight.to(view.unit.device, torch.float64)
    eigenvalues, u = torch.linalg.eigh(z.T @ z / len(z))  # (D,), (D, D): an eigenvector per column
    mapped = w @ u
    length = torch.linalg.vector_norm(mapped, dim=0)  # (D,), those of u being 1
    cosines = torch.where(length > 0, (u * mapped).sum(dim=0).abs() / length, 0.0)
    weights = eigenvalues.clamp(min=0)
    return float((weights * cosines).sum() / weights.sum())
