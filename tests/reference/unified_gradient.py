"""UniGrad's unified form: every method's gradient with respect to a unit anchor u is a positive and a negative term.

    contrastive (MoCo, SimCLR)    (-u_2 + sum_v s_v v) / tau,  s the softmax of u . v / tau over positive and negatives
      where targets have one      (-u_2 + sum_v t_v v) / tau,  t_v the share of u in the softmax of the anchor v
    asymmetric (SimSiam, BYOL)    (-W^T u_2 + lambda W^T W u) / |W u|,  lambda = u^T W^T u_2 / u^T W^T W u
    decorrelation (Barlow Twins)  2 (-A u_2 + lambda sum_v (u_2^T v_2 / N) v),  A = I - (1 - lambda) diag of the
                                  views' correlation; u has mean 0 and variance 1 over the batch in each channel
    UniGrad                       -u_2 + lambda F u,  F the targets' correlation

Written by loops from the paper. SwAV is not in it: its prototypes take the place of positives and negatives, so that
its gradient has the contrastive form with -sum_k q_k c_k, q the codes, for -u_2.

- [0] UniGrad, 2022, https://arxiv.org/abs/2112.05141
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["asymmetric", "contrastive", "contrastive_target", "decorrelating", "prototypical", "tangent"]


def contrastive(u: Tensor, positive: Tensor, negatives: Sequence[Tensor], tau: float) -> Tensor:
    """The gradient (D,) that an anchor u gets from its own term."""
    others = [positive, *negatives]
    shares = [torch.exp(torch.dot(u, v) / tau) for v in others]
    negative = sum((share * v for share, v in zip(shares, others, strict=True)), torch.zeros_like(u))
    return (negative / sum(shares) - positive) / tau


def contrastive_target(
    u: Tensor, positive: Tensor, anchors: Sequence[Tensor], seen: Sequence[Sequence[Tensor]], tau: float
) -> Tensor:
    """The gradient (D,) that u gets from the terms of other anchors, of which it is the positive or a negative.

    Args:
        u: (D,).
        positive: the anchor whose positive u is.
        anchors: all anchors that are compared with u, `positive` among them.
        seen: for each of them all that it is compared with, u included.
        tau: the temperature.
    """
    negative = torch.zeros_like(u)
    for v, others in zip(anchors, seen, strict=True):
        total = sum(torch.exp(torch.dot(v, other) / tau) for other in others)
        negative = negative + torch.exp(torch.dot(v, u) / tau) / total * v
    return (negative - positive) / tau


def asymmetric(u: Tensor, positive: Tensor, w: Tensor, wtw: Tensor | None = None) -> Tensor:
    """The gradient (D,) through a linear predictor w (D, D); `wtw` takes the place of W^T W, as F does in the paper."""
    wtw = w.T @ w if wtw is None else wtw
    balance = (u @ w.T @ positive) / (u @ wtw @ u)
    return (balance * wtw @ u - w.T @ positive) / torch.linalg.vector_norm(w @ u)


def prototypical(u: Tensor, codes: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    """The gradient (D,) that an anchor of SwAV gets: codes (K,), prototypes (K, D)."""
    shares = [torch.exp(torch.dot(u, c) / tau) for c in prototypes]
    gradient = torch.zeros_like(u)
    for q, share, c in zip(codes, shares, prototypes, strict=True):
        gradient = gradient + (share / sum(shares) - q) * c
    return gradient / tau


def decorrelating(u: Tensor, other: Tensor, n: int, weight: float) -> Tensor:
    """The gradient (D,) that image n of the standardised embeddings u (N, D) gets; the other view's are `other`."""
    images = len(u)
    diagonal = sum(u[v] * other[v] for v in range(images)) / images
    negative = sum(torch.dot(other[n], other[v]) / images * u[v] for v in range(images))
    return 2 * (weight * negative - (1 - (1 - weight) * diagonal) * other[n]) / images


def tangent(gradient: Tensor, u: Tensor) -> Tensor:
    """The part of a gradient that moves a unit vector u, both (D,); what is radial, normalisation takes out."""
    return gradient - torch.dot(gradient, u) * u
