"""A first-in, first-out store of unit vectors, in the state dict (lightly's bank is not).

It changes between optimizer steps only, so that the backward pass still finds what the forward pass read,
without a copy; and alike in all processes, in the order that one process would see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.distributed import gather

__all__ = ["Fifo"]


class Fifo(nn.Module):
    """The newest `size` unit vectors of width `dim`.

    Args:
        size: how many are kept.
        dim: their width D.
        random: begins with random vectors, as MoCo does; else with zeros, which `full` tells apart.
    """

    vectors: Tensor  # (size, D), unit length
    pointer: Tensor  # (), where the next vector goes
    count: Tensor  # (), how many were ever put in

    def __init__(self, size: int, dim: int, *, random: bool) -> None:
        super().__init__()
        start = normalize(torch.randn(size, dim), dim=1) if random else torch.zeros(size, dim)
        self.register_buffer("vectors", start)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.remembered: list[Tensor] = []
        self._counted: int | None = 0  # `count`, without waiting for the device; None: not read yet

    @property
    def full(self) -> bool:
        """Whether every place has been filled. Waits for the device after a state has been loaded, and no more."""
        if self._counted is None:
            self._counted = int(self.count)
        return self._counted >= len(self.vectors)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._counted = None

    def assume_full(self) -> None:
        """Counts as full from now on, for who asks what memory that takes."""
        self._counted = len(self.vectors)

    def remember(self, vectors: Tensor) -> None:
        """Takes note of vectors (N, D), once a batch's terms are computed."""
        if self.training:
            self.remembered.append(vectors)

    @torch.no_grad()
    def update(self) -> None:
        """Puts in what all processes noted since the last optimizer step, the newest that fit."""
        if not self.remembered:
            return
        new = torch.cat([gather(part.float()) for part in self.remembered])  # (M, D)
        self.remembered.clear()
        self.count.add_(len(new))
        self._counted = None if self._counted is None else self._counted + len(new)
        new = normalize(new, dim=1)[-len(self.vectors) :]
        places = (self.pointer + torch.arange(len(new), device=new.device)) % len(self.vectors)
        self.vectors.index_copy_(0, places, new)
        self.pointer.add_(len(new)).remainder_(len(self.vectors))
