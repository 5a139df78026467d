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


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum().sqrt()
