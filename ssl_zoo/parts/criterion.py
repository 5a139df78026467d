"""One of lightly's losses over two embeddings, with what it keeps between steps as a buffer.

lightly's TiCo keeps the moving average C of its covariance as a plain attribute, which no checkpoint holds, and moves
it in every forward pass. Here C is a buffer and moves once per optimizer step: by the mean over the accumulated
batches, which is what one batch of all their images would have made of it.

- [0] TiCo, 2022, https://arxiv.org/abs/2206.10698 (Algorithm 1)
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import CriterionConfig

__all__ = ["Criterion"]

STATE = {"TiCoLoss": "C"}  # attributes (D, D) of lightly's losses that change from step to step, 0 at first


class Criterion(nn.Module):
    """lightly's loss of the configuration.

    Args:
        config: its name and arguments.
        dim: width D of the embeddings.
    """

    def __init__(self, config: CriterionConfig, dim: int) -> None:
        super().__init__()
        self.loss = config.build()
        self.state = STATE.get(config.name)
        if self.state is not None:
            delattr(self.loss, self.state)
            self.loss.register_buffer(self.state, torch.zeros(dim, dim))
        self.noted: list[Tensor] = []

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        """Returns the loss () of the embeddings (N, D) of two views; what it keeps is noted for the next `update`."""
        kept = None if self.state is None else getattr(self.loss, self.state)
        with warnings.catch_warnings():  # DCLW copies its weights by torch.tensor
            warnings.filterwarnings("ignore", "To copy construct from a tensor")
            loss: Tensor = self.loss(z1, z2)
        if self.state is not None:
            if self.training:
                self.noted.append(getattr(self.loss, self.state))
            setattr(self.loss, self.state, kept)
        return loss

    def update(self) -> None:
        """Moves what the loss keeps, after an optimizer step."""
        if self.state is not None and self.noted:
            getattr(self.loss, self.state).copy_(torch.stack(self.noted).mean(dim=0))
        self.noted.clear()
