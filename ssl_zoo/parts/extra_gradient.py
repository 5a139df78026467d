"""The target taken apart: a basic gradient, and the centre and the residual of the extra gradient.

With D = - P_i . t the target t is, but for its sign, the gradient that P_i receives. Zhang et al. write it as

    t = basic + o_e + r_e,    G_e = o_e + r_e,    o_e = mean_B G_e

and ask which part prevents collapse. Here each of the three is a switch. P = h(z)/|h(z)|, Z = z'/|z'|, and mean_B is
the mean over the batch of all processes.

    of          basic   G_e
    predictor   P_j     Z_j - P_j     SimSiam, all parts of which sum to Z_j (Table 4)
    negative    Z_j     -Z_n          the triplet loss (Table 3)
    anchor      0       P_i           the dummy term (Conjecture 1, Fig. 4), with P_i = Z_i where h is the identity

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Sec. 3 and 4)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import ExtraGradientConfig
from ssl_zoo.distributed import average, gather, rank

__all__ = ["Parts", "Target", "build_target"]


class Target(nn.Module):
    """The target of an anchor, whole: that of the other view."""

    def forward(self, p: Mapping[int, Tensor], t: Mapping[int, Tensor], i: int, j: int) -> Tensor:
        """Returns the target (N, D) of the anchors in view i, whose positives are in view j.

        Args:
            p: predictions of each anchor view, (N, D) each.
            t: targets of each target view, (N, D) each.
            i: the anchors' view.
            j: the positives' view.
        """
        return t[j]


class Parts(Target):
    """Those parts of the target that the configuration keeps. Their sum is not renormalised."""

    def __init__(self, config: ExtraGradientConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, p: Mapping[int, Tensor], t: Mapping[int, Tensor], i: int, j: int) -> Tensor:
        basic, extra = self.split(p, t, i, j)
        center = average(extra.mean(dim=0)).expand_as(extra)  # o_e, of all processes
        parts = {"basic": basic, "center": center, "residual": extra - center}
        return torch.stack([parts[name] for name, kept in self.config.parts.items() if kept]).sum(dim=0)

    def split(
        self, p: Mapping[int, Tensor], t: Mapping[int, Tensor], i: int, j: int
    ) -> tuple[Tensor, Tensor]:
        """Returns the basic gradient and G_e, (N, D) each; see `forward` for the arguments."""
        if self.config.of == "anchor":
            anchor = normalize(p[i], dim=1)
            return torch.zeros_like(anchor), anchor
        z = normalize(t[j], dim=1)
        if self.config.of == "negative":
            return z, -_another_image(z)
        other = normalize(p[j], dim=1)
        return other, z - other


def _another_image(z: Tensor) -> Tensor:
    """Returns for each row (N, D) that of the image half a batch further on, in the batch of all processes."""
    batch = gather(z)  # (WN, D)
    return batch.roll(-(len(batch) // 2), dims=0)[rank() * len(z) :][: len(z)]


def build_target(config: ExtraGradientConfig) -> Target:
    """Builds the whole target, or its parts for `method.extra_gradient`."""
    return Target() if config.of == "none" else Parts(config)
