"""First-in, first-out store of unit vectors; saved in the state dict, unlike lightly's memory bank.

It changes between optimizer steps only, so the backward pass reads what the forward pass read, without a copy. All
processes hold the same vectors, in the order that a single process would store them.
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
        size: number of vectors.
        dim: width D of the vectors.
        random: whether it begins with random vectors, as in MoCo, or with zeros; see `full`.
    """

    vectors: Tensor  # (size, D), unit length
    pointer: Tensor  # (), where the next vector goes
    count: Tensor  # (), how many were ever stored

    def __init__(self, size: int, dim: int, *, random: bool) -> None:
        super().__init__()
        start = normalize(torch.randn(size, dim), dim=1) if random else torch.zeros(size, dim)
        self.register_buffer("vectors", start)
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.noted: list[Tensor] = []
        self._counted: int | None = 0  # `count`, without waiting for the device; None: not read yet

    @property
    def full(self) -> bool:
        """Whether `size` vectors have been stored. Reads from the device only after a state has been loaded."""
        if self._counted is None:
            self._counted = int(self.count)
        return self._counted >= len(self.vectors)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._counted = None

    def assume_full(self) -> None:
        """Counts as full from now on; for estimates of memory."""
        self._counted = len(self.vectors)

    def remember(self, vectors: Tensor) -> None:
        """Notes vectors (N, D) for the next `update`, once a batch's terms are computed."""
        if self.training:
            self.noted.append(vectors)

    @torch.no_grad()
    def update(self) -> None:
        """Stores the vectors that all processes noted since the last optimizer step: the newest that fit."""
        if not self.noted:
            return
        new = torch.cat([gather(part.float()) for part in self.noted])  # (M, D)
        self.noted.clear()
        self.count.add_(len(new))
        self._counted = None if self._counted is None else self._counted + len(new)
        new = normalize(new, dim=1)[-len(self.vectors) :]
        slots = (self.pointer + torch.arange(len(new), device=new.device)) % len(self.vectors)
        self.vectors.index_copy_(0, slots, new)
        self.pointer.add_(len(new)).remainder_(len(self.vectors))
