"""The gradient taken apart and the decorrelation, as the formulas have them: loops over images, nothing of ssl_zoo.

A list holds one tensor of shape (N, D) per view; row n of every view comes from image n.

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262
"""

from __future__ import annotations

import torch
from torch import Tensor


def parts_loss(p: list[Tensor], z: list[Tensor], of: str, kept: set[str]) -> Tensor:
    """Mean over images n and ordered pairs (i, j) of - P_i[n] . t[n], t the kept of basic, o_e and r_e, a constant.

    predictor: basic P_j[n], G_e[n] = Z_j[n] - P_j[n]. negative: basic Z_j[n], G_e[n] = -Z_j[n'], n' half a batch
    after n, from the beginning again after the last. anchor: G_e[n] = P_i[n], no basic gradient.
    """
    images, total = len(p[0]), p[0].new_zeros(())
    for i, j in ((0, 1), (1, 0)):
        basic, extra = [], []
        for n in range(images):
            if of == "predictor":
                basic.append(_unit(p[j][n]))
                extra.append(_unit(z[j][n]) - _unit(p[j][n]))
            elif of == "negative":
                basic.append(_unit(z[j][n]))
                extra.append(-_unit(z[j][(n + images // 2) % images]))
            else:
                basic.append(torch.zeros_like(p[i][n]))
                extra.append(_unit(p[i][n]))
        center = torch.zeros_like(extra[0])
        for g in extra:
            center = center + g / images
        for n in range(images):
            target = torch.zeros_like(center)
            if "basic" in kept:
                target = target + basic[n]
            if "center" in kept:
                target = target + center
            if "residual" in kept:
                target = target + extra[n] - center
            total = total - torch.dot(_unit(p[i][n]), target.detach()) / (2 * images)
    return total


def decorrelation(z: list[Tensor], standardized: bool) -> Tensor:
    """Mean over views of 1/D sum over a != b of C_ab^2, C the covariance of the channels of sqrt(D) z/|z|.

    Standardised: C_ab / sqrt((C_aa + 1e-5) (C_bb + 1e-5)), the correlation but for BN's epsilon.
    """
    total = z[0].new_zeros(())
    for view in z:
        images, dim = view.shape
        columns = [torch.stack([_unit(row)[a] * dim**0.5 for row in view]) for a in range(dim)]
        c = [[_covariance(columns[a], columns[b], images) for b in range(dim)] for a in range(dim)]
        for a in range(dim):
            for b in range(dim):
                if a != b:
                    scale = (c[a][a] + 1e-5) * (c[b][b] + 1e-5) if standardized else 1.0
                    total = total + c[a][b] ** 2 / scale / dim / len(z)
    return total


def _covariance(a: Tensor, b: Tensor, images: int) -> Tensor:
    mean_a, mean_b, total = sum(a) / images, sum(b) / images, a.new_zeros(())
    for n in range(images):
        total = total + (a[n] - mean_a) * (b[n] - mean_b)
    return total / (images - 1)


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum().sqrt()
