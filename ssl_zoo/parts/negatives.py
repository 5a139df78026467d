"""The negatives: none, the batch, a queue of earlier targets, a memory of all images, or the targets' correlation.

The batch, of all processes, gives three sets for an anchor's prediction p_i and its target t_j:

    batch         p_i against t_j and t_i of the other images      SimCLR
    keys          p_i against t_j of the other images              MoCo v3
    predictions   t_j against p_i of the other images              NNCLR

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709 (the batch: Sec. 2.1)
- [1] MoCo, 2019, https://arxiv.org/abs/1911.05722 (the queue: Sec. 3.2; the three compared: Figures 2, 3)
- [2] InstDisc, 2018, https://arxiv.org/abs/1805.01978 (the memory bank: Sec. 3.2)
- [3] UniGrad, 2022, https://arxiv.org/abs/2112.05141 (the correlation). Code: fundamentalvision/UniGrad,
  project/pretrainer.py, `loss_unigrad`, which updates F by a batch's targets before it reads F
- [4] MoCo v3, 2021, https://arxiv.org/abs/2104.02057 (the batch's keys: Algorithm 1)
- [5] NNCLR, 2021, https://arxiv.org/abs/2104.14548 (the batch's predictions)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import SiameseConfig
from ssl_zoo.distributed import rank
from ssl_zoo.parts.correlation import Correlation
from ssl_zoo.parts.fifo import Fifo
from ssl_zoo.parts.memory import Memory

__all__ = [
    "BatchNegatives",
    "CorrelationNegatives",
    "KeyNegatives",
    "Keys",
    "MemoryBank",
    "Negatives",
    "PredictionNegatives",
    "Queue",
    "build_negatives",
]


class Keys(NamedTuple):
    """Negatives of N anchors: keys (M, D) of unit length, and which of them show the anchor's image (N, M)."""

    keys: Tensor
    same_image: Tensor | None
    of_target: bool = False  # whether they are predictions, with which the target is contrasted


class Negatives(nn.Module):
    """No negatives, and the interface of the other kinds."""

    def views_used(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        """Returns the views whose targets serve as negatives of these pairs."""
        return set()

    def read(self, p: Mapping[int, Tensor], targets: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """Returns what the keys are, by view, (N, D) each: the targets of the views used, or the predictions p."""
        return targets

    def shared(self, targets: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        """Returns what all terms of a batch read, by view: the targets themselves, or a correlation F (D, D).

        Args:
            targets: what `read` returned, from all processes, (world_size * N, D) each.
        """
        return targets

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys | Tensor | None:
        """Returns the negatives of anchors in view i whose positives are in view j; of a correlation F (D, D).

        Args:
            targets: what `shared` returned.
            index: (N,), which image of the training set each anchor is.
            i: the anchors' view.
            j: the positives' view.
        """
        return None

    def remember(self, targets: Sequence[Tensor]) -> None:
        """Notes the targets (N, D) of a batch, once all its terms are computed."""

    def update(self) -> None:
        """Makes the targets noted since the last optimizer step negatives of the next."""


class BatchNegatives(Negatives):
    """The other images of the batch, in all processes: in the other view, and in the anchor's own view.

    With h = identity and no stop-gradient this makes InfoNCE the NT-Xent loss.
    """

    def views_used(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        return {view for pair in pairs for view in pair}

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys:
        keys = normalize(torch.cat([targets[j], targets[i]]), dim=1)  # (2WN, D)
        return Keys(keys, _same_image(index, targets[j]).repeat(1, 2))


class KeyNegatives(Negatives):
    """The other images of the batch, in all processes, in the positives' view alone."""

    def views_used(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        return {j for _, j in pairs}

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys:
        return Keys(normalize(targets[j], dim=1), _same_image(index, targets[j]))


class PredictionNegatives(Negatives):
    """The predictions of the batch's other images, in all processes: the target looks for its own among them.

    This is InfoNCE with prediction and target in each other's place. Targets from a queue want it: two images may have
    one nearest neighbour, which would be positive and negative at once.
    """

    def read(self, p: Mapping[int, Tensor], targets: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        return p

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys:
        return Keys(normalize(targets[i], dim=1), _same_image(index, targets[i]), of_target=True)


class Queue(Negatives):
    """Targets of earlier steps, first in, first out; it begins with random unit vectors."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.store = Fifo(size, dim, random=True)

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys:
        return Keys(self.store.vectors, same_image=None)

    def remember(self, targets: Sequence[Tensor]) -> None:
        for target in targets:
            self.store.remember(target)

    def update(self) -> None:
        self.store.update()


class MemoryBank(Negatives):
    """Vectors of the memory, drawn at random with replacement, anew for each term.

    The anchor's own image is no negative. All processes draw the same, as they have the same seed in a step.
    """

    memory: Memory

    def __init__(self, memory: Memory, number: int) -> None:
        super().__init__()
        object.__setattr__(self, "memory", memory)  # the method's own child: not registered twice
        self.number = number

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Keys:
        drawn = torch.randint(len(self.memory.vectors), (self.number,), device=index.device)  # (K,)
        return Keys(normalize(self.memory(drawn), dim=1), same_image=index[:, None] == drawn)


class CorrelationNegatives(Negatives):
    """F (D, D), the moving average of all targets' correlation: with z F in place of the sum over keys (z . k) k."""

    def __init__(self, dim: int, rho: float) -> None:
        super().__init__()
        self.correlation = Correlation(dim, rho)

    def views_used(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        return {j for _, j in pairs}

    def shared(self, targets: Mapping[int, Tensor]) -> Mapping[int, Tensor]:
        matrix: Tensor = self.correlation(normalize(torch.cat(list(targets.values())), dim=1))
        return dict.fromkeys(targets, matrix)

    def forward(self, targets: Mapping[int, Tensor], index: Tensor, i: int, j: int) -> Tensor:
        return targets[j]

    def remember(self, targets: Sequence[Tensor]) -> None:
        self.correlation.remember(normalize(torch.cat(list(targets)), dim=1))

    def update(self) -> None:
        self.correlation.update()


def build_negatives(config: SiameseConfig, dim: int, memory: Memory | None) -> Negatives:
    """Builds the negatives that `method.negatives` names, for targets of width `dim`."""
    if config.negatives == "queue":
        return Queue(config.queue.size, dim)
    if config.negatives == "memory_bank":
        assert memory is not None
        return MemoryBank(memory, config.memory.negatives)
    if config.negatives == "correlation":
        return CorrelationNegatives(dim, config.unified.rho)
    of_batch = {"batch": BatchNegatives, "keys": KeyNegatives, "predictions": PredictionNegatives}
    return of_batch.get(config.negatives, Negatives)()


def _same_image(index: Tensor, keys: Tensor) -> Tensor:
    """Returns which keys (WN, D) of all processes show the images (N,) of this one, (N, WN)."""
    row = torch.arange(len(index), device=keys.device) + rank() * len(index)  # (N,)
    return row[:, None] == torch.arange(len(keys), device=keys.device)
