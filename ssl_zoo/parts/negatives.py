"""The negatives of InfoNCE: none, the batch, or a queue of earlier targets.

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709 (the batch: Sec. 2.1)
- [1] MoCo, 2019, https://arxiv.org/abs/1911.05722 (the queue: Sec. 3.2)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.schema import SiameseConfig

__all__ = ["BatchNegatives", "Keys", "Negatives", "Queue", "build_negatives"]


class Keys(NamedTuple):
    """Negatives of N anchors: keys (M, D) of unit length, and where they show the anchor's own image (N, M)."""

    keys: Tensor
    own: Tensor | None


class Negatives(nn.Module):
    """No negatives; and what the other kinds implement."""

    def views_read(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        """The views whose targets serve as negatives of these pairs."""
        return set()

    def forward(self, targets: Mapping[int, Tensor], i: int, j: int) -> Keys | None:
        """The negatives of anchors in view i whose positives are in view j."""
        return None

    def remember(self, targets: Sequence[Tensor]) -> None:
        """Takes note of the targets (N, D) of a batch, once all its terms are computed."""

    def update(self) -> None:
        """Makes what was remembered since the last optimizer step into negatives of the next."""


class BatchNegatives(Negatives):
    """The other images of the batch: in the other view, and in the anchor's own view.

    With h = identity and no stop-gradient this makes InfoNCE the NT-Xent loss.
    """

    def views_read(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        return {view for pair in pairs for view in pair}

    def forward(self, targets: Mapping[int, Tensor], i: int, j: int) -> Keys:
        keys = normalize(torch.cat([targets[j], targets[i]]), dim=1)  # (2N, D)
        own = torch.eye(len(targets[j]), dtype=torch.bool, device=keys.device).repeat(1, 2)  # (N, 2N)
        return Keys(keys, own)


class Queue(Negatives):
    """The targets of earlier steps, first in, first out; in the state dict, unlike lightly's bank.

    It changes between optimizer steps only, so that the backward pass still finds what the forward pass
    read, without a copy.

    Args:
        size: how many vectors are kept.
        dim: their width D.
    """

    vectors: Tensor  # (size, D), unit length
    pointer: Tensor  # (), where the next vector goes

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.remembered: list[Tensor] = []

    def forward(self, targets: Mapping[int, Tensor], i: int, j: int) -> Keys:
        return Keys(self.vectors, own=None)

    def remember(self, targets: Sequence[Tensor]) -> None:
        if self.training:
            self.remembered.extend(targets)

    @torch.no_grad()
    def update(self) -> None:
        if not self.remembered:
            return
        keys = normalize(torch.cat(self.remembered), dim=1)[-len(self.vectors) :]  # the newest that fit
        places = (self.pointer + torch.arange(len(keys), device=keys.device)) % len(self.vectors)
        self.vectors.index_copy_(0, places, keys)
        self.pointer.add_(len(keys)).remainder_(len(self.vectors))
        self.remembered.clear()


def build_negatives(config: SiameseConfig, dim: int) -> Negatives:
    """The negatives that `method.negatives` names, for targets of width `dim`."""
    if config.negatives == "queue":
        return Queue(config.queue.size, dim)
    return BatchNegatives() if config.negatives == "batch" else Negatives()
