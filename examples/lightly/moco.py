"""MoCo after lightly's documentation, with our monitor: the online encoder sees one view of each image.

    python examples/lightly/moco.py               # healthy
    python examples/lightly/moco.py no-negatives  # queries are drawn to their keys, and nothing else

- [0] MoCo, 2020, https://arxiv.org/abs/1911.05722
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import SMALL, WIDTH, Digits, fit, small_backbone
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import MoCoProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor
from torch.utils.data import DataLoader

import ssl_zoo


class MoCo(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.backbone = small_backbone()
        self.projection_head = MoCoProjectionHead(WIDTH, 128, 64)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)
        queue = NTXentLoss(memory_bank_size=(1024, 64))
        self.criterion = NegativeCosineSimilarity() if fault == "no-negatives" else queue

    def forward(self, x: Tensor) -> Tensor:
        query: Tensor = self.projection_head(self.backbone(x).flatten(start_dim=1))
        return query

    def forward_momentum(self, x: Tensor) -> Tensor:
        key = self.projection_head_momentum(self.backbone_momentum(x).flatten(start_dim=1))
        return key.detach()  # type: ignore[no-any-return]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        update_momentum(self.backbone, self.backbone_momentum, m=0.99)
        update_momentum(self.projection_head, self.projection_head_momentum, m=0.99)
        (x_query, x_key), _ = batch
        loss: Tensor = self.criterion(self.forward(x_query), self.forward_momentum(x_key))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.06)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    views = ssl_zoo.BatchedViews("MoCoV2Transform", size=16, min_scale=0.4, **SMALL)
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    return fit(MoCo(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
