"""Memory of one vector per training image: the moving average of its outputs.

    eta_x <- m eta_x + (1 - m) z / |z|

Three parts read it: T as a moving average (SimSiam, Sec. 5.2), T as the stored vector alone, and the negatives
of a memory bank (InstDisc; MoCo's Figure 3). It starts as random unit vectors, as the code of [1] and of [2]
does, and costs images * D * 4 bytes, in memory and in each checkpoint.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 5.2)
- [1] InstDisc, 2018, https://arxiv.org/abs/1805.01978 (Sec. 3.2: the bank, renormalised after each update)
- [2] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Table 1: moving average instead of a predictor)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo.distributed import gather

__all__ = ["Memory"]


class Memory(nn.Module):
    """Moving averages of outputs; they change between optimizer steps only, and are the same in all processes.

    Args:
        dim: width D of the vectors.
        decay: m.
        unit: whether the vectors are normalised after each update, as in a memory bank.
    """

    vectors: Tensor  # (images, D)

    def __init__(self, dim: int, decay: float, *, unit: bool) -> None:
        super().__init__()
        self.dim, self.decay, self.unit = dim, decay, unit
        self.register_buffer("vectors", torch.empty(0, dim))
        self.noted: list[tuple[Tensor, Tensor]] = []

    def allocate(self, images: int) -> None:
        """Creates random unit vectors for this number of training images."""
        self.vectors = normalize(torch.randn(images, self.dim), dim=1).to(self.vectors.device)

    def forward(self, index: Tensor) -> Tensor:
        """Returns the vectors (N, D) of the images at `index` (N,), as after the last optimizer step.

        Raises:
            ValueError: `allocate` has not been called.
        """
        if not len(self.vectors):
            raise ValueError(
                "a memory needs room for the training images and has none; call method.allocate(number of images) first"
            )
        return self.vectors[index]

    def average(self, index: Tensor, z: Tensor) -> Tensor:
        """Returns m eta_x + (1 - m) z/|z| for outputs z (N, D) of the images at `index` (N,)."""
        stored: Tensor = self(index)
        return self.decay * stored + (1 - self.decay) * normalize(z, dim=1)

    def remember(self, index: Tensor, targets: Sequence[Tensor]) -> None:
        """Notes a batch's outputs for the next `update`, one (N, D) per view; the views of an image are averaged."""
        if self.training:
            z = torch.stack([normalize(t.float(), dim=1) for t in targets]).mean(dim=0)
            self.noted.append((index, z))

    @torch.no_grad()
    def update(self) -> None:
        """Updates the vectors of all images that any process noted since the last optimizer step."""
        for index, z in self.noted:
            index, z = gather(index), gather(z)
            average = self.decay * self.vectors[index] + (1 - self.decay) * z
            self.vectors[index] = normalize(average, dim=1) if self.unit else average
        self.noted.clear()
