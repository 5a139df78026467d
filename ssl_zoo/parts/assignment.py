"""T, the assignment of targets: the identity, SwAV's codes, DINO's centred scores, an image's earlier outputs, the
nearest of all earlier ones, or a mean over more views.

Sinkhorn-Knopp is written here rather than taken from lightly, whose `sinkhorn` runs under a hidden `no_grad`:
stop-gradient is the equation's own line, and switched off the gradient flows through these iterations too.

- [0] SwAV, 2020, https://arxiv.org/abs/2006.09882 (Sec. 3.1, Eq. 3-5; Listing 1)
- [1] official code, https://github.com/facebookresearch/swav
- [2] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 5.2: moving average)
- [3] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Table 1: the expectation over augmentations, explicit)
- [4] DINO, 2021, https://arxiv.org/abs/2104.14294 (Eq. 4, Algorithm 1: centring)
- [5] NNCLR, 2021, https://arxiv.org/abs/2104.14548 (nearest neighbour in a support set)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.config.schema import CenteringConfig, SiameseConfig, SinkhornConfig
from ssl_zoo.distributed import average, gather, rank, world_size
from ssl_zoo.parts.fifo import Fifo
from ssl_zoo.parts.memory import Memory
from ssl_zoo.parts.prototypes import Prototypes
from ssl_zoo.parts.schedule import Progress

__all__ = [
    "Assignment",
    "Centering",
    "Expectation",
    "FromMemory",
    "MovingAverage",
    "NearestNeighbor",
    "Sinkhorn",
    "build_assignment",
]


class Assignment(nn.Module):
    """Identity, and the interface of the other assignments: a target is its embedding, or its scores.

    Args:
        prototypes: the method's, of its targets.
    """

    prototypes: Prototypes

    def __init__(self, prototypes: Prototypes) -> None:
        super().__init__()
        object.__setattr__(self, "prototypes", prototypes)  # the method's own child: not registered twice

    def before_step(self, progress: Progress) -> None:
        """Called before each optimizer step."""

    def sources(self, targets: set[int], views: int) -> set[int]:
        """Returns the views, of so many, whose embeddings make the targets of some views: those views themselves."""
        return targets

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        """Maps the sources' embeddings (N, D), of the images at `index` (N,), to the targets (N, D or K) of a view."""
        scores: Tensor = self.prototypes(z[view])
        return scores

    def remember(self, z: Mapping[int, Tensor]) -> None:
        """Stores the target views' embeddings (N, D), once all terms of a batch are computed."""

    def update(self) -> None:
        """Called between optimizer steps."""


class Sinkhorn(Assignment):
    """Codes Q = Diag(u) exp(scores / epsilon) Diag(v): each image has weight 1, prototypes are used equally.

    Computed over the images of all processes. With a queue, earlier embeddings of the same view join them once it is
    full; only the batch gets codes. Works on logarithms, so that no score overflows.

    Args:
        prototypes: the method's.
        config: epsilon, iterations and the queue.
        dim: width D of the embeddings.
        views: how many views are targets, each with a queue of its own as in the official code.
    """

    def __init__(self, prototypes: Prototypes, config: SinkhornConfig, dim: int, views: int) -> None:
        super().__init__(prototypes)
        self.config = config
        size = config.queue_size
        self.queues = nn.ModuleList([Fifo(size, dim, random=False) for _ in range(views if size else 0)])
        self.filling = False

    def before_step(self, progress: Progress) -> None:
        self.filling = progress.step >= self.config.queue_from_epoch * progress.steps_per_epoch

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        scores = self.prototypes(z[view])  # (N, K)
        if not self.queues:
            return self.codes(scores)
        queue = self.queues[view % len(self.queues)]
        assert isinstance(queue, Fifo)
        if not queue.full:
            return self.codes(scores)
        part = queue.vectors.tensor_split(world_size())[rank()]  # each process takes its part of the queue
        return self.codes(torch.cat([scores, self.prototypes(part)]))[: len(scores)]

    def codes(self, scores: Tensor) -> Tensor:
        """Maps scores (N, K) to codes (N, K): each row sums to 1, all columns to the same over all processes."""
        log_q = scores / self.config.epsilon
        for _ in range(self.config.iterations):
            column_sums = gather(log_q.logsumexp(dim=0, keepdim=True))  # (processes, K)
            log_q = log_q - column_sums.logsumexp(dim=0, keepdim=True)  # prototypes are used equally
            log_q = log_q - log_q.logsumexp(dim=1, keepdim=True)  # each image has weight 1
        return log_q.exp()

    def remember(self, z: Mapping[int, Tensor]) -> None:
        if self.queues and self.filling:
            for view, embeddings in z.items():
                queue = self.queues[view % len(self.queues)]
                assert isinstance(queue, Fifo)
                queue.remember(embeddings)

    def update(self) -> None:
        for queue in self.queues:
            assert isinstance(queue, Fifo)
            queue.update()


class Centering(Assignment):
    """T(z') = s - c, s the scores of z' and c <- m c + (1 - m) mean of s, over target views, batch and processes.

    A batch is centred by the c of the step before, as in the code.

    Args:
        prototypes: of the targets.
        config: m.
        dim: width K of the scores.
    """

    center: Tensor  # (K,)

    def __init__(self, prototypes: Prototypes, config: CenteringConfig, dim: int) -> None:
        super().__init__(prototypes)
        self.decay = config.decay
        self.register_buffer("center", torch.zeros(dim))
        self.noted: list[Tensor] = []  # (K,) each: the means of this optimizer step's batches

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        return super().forward(z, view, index) - self.center

    @torch.no_grad()
    def remember(self, z: Mapping[int, Tensor]) -> None:
        if self.training:
            with torch.autocast(self.center.device.type, enabled=False):  # as the scores of the loss
                means = [self.prototypes(embeddings).mean(dim=0) for embeddings in z.values()]
                self.noted.append(torch.stack(means).mean(dim=0))

    @torch.no_grad()
    def update(self) -> None:
        if self.noted:
            self.center.lerp_(average(torch.stack(self.noted).mean(dim=0)), 1 - self.decay)
            self.noted.clear()


class MovingAverage(Assignment):
    """T(z') = m eta_x + (1 - m) z'/|z'|, eta_x being the image's memory: an expectation over augmentations."""

    memory: Memory

    def __init__(self, prototypes: Prototypes, memory: Memory) -> None:
        super().__init__(prototypes)
        object.__setattr__(self, "memory", memory)  # the method's own child: not registered twice

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        return self.memory.average(index, z[view])


class FromMemory(MovingAverage):
    """T(z') = eta_x alone, stored when the image was last used: the positive of a memory bank (InstDisc)."""

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        stored: Tensor = self.memory(index)
        return stored


class Expectation(Assignment):
    """T(z') = mean of z'_k / |z'_k| over n further views k of the image, the last ones: one target for all anchors.

    It is shorter than 1, by how far the views lie apart, and is not normalised again.
    """

    def __init__(self, prototypes: Prototypes, further_views: int) -> None:
        super().__init__(prototypes)
        self.further_views = further_views

    def sources(self, targets: set[int], views: int) -> set[int]:
        return set(range(views - self.further_views, views))

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        return torch.stack([normalize(z[k], dim=1) for k in sorted(z)]).mean(dim=0)


class NearestNeighbor(Assignment):
    """T(z') = NN(z', Q): of a queue Q of earlier embeddings the one with the largest cosine, NNCLR's support set.

    Q begins with random unit vectors and takes one embedding of each image, that of the first target view (solo-learn's
    code does so too). The target is a constant: no gradient passes the choice.

    Args:
        prototypes: the method's.
        size: number of vectors in Q.
        dim: width D of the embeddings.
    """

    def __init__(self, prototypes: Prototypes, size: int, dim: int) -> None:
        super().__init__(prototypes)
        self.store = Fifo(size, dim, random=True)

    def forward(self, z: Mapping[int, Tensor], view: int, index: Tensor) -> Tensor:
        nearest = (z[view].detach() @ self.store.vectors.T).argmax(dim=1)  # (N,), whatever the length of z
        return self.store.vectors[nearest]

    def remember(self, z: Mapping[int, Tensor]) -> None:
        self.store.remember(z[min(z)])

    def update(self) -> None:
        self.store.update()


def build_assignment(
    config: SiameseConfig, prototypes: Prototypes, memory: Memory | None, dim: int
) -> Assignment:
    """Builds the assignment that `method.assignment` names, for embeddings of width `dim`."""
    if config.assignment == "sinkhorn":
        return Sinkhorn(prototypes, config.sinkhorn, dim, config.target_views)
    if config.assignment == "centering":
        return Centering(prototypes, config.centering, config.prototypes.number or dim)
    if config.assignment == "identity":
        return Assignment(prototypes)
    if config.assignment == "expectation":
        return Expectation(prototypes, config.expectation_views)
    if config.assignment == "nearest_neighbor":
        return NearestNeighbor(prototypes, config.queue.size, dim)
    assert memory is not None
    return (MovingAverage if config.assignment == "moving_average" else FromMemory)(prototypes, memory)
