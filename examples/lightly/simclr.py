"""SimCLR after lightly's documentation, with our monitor; views of a batch are made by the loader's collate_fn.

    python examples/lightly/simclr.py               # healthy
    python examples/lightly/simclr.py no-negatives  # the loss only draws views together

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709
"""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import SMALL, WIDTH, Digits, fit, small_backbone
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from torch import Tensor
from torch.utils.data import DataLoader

import ssl_zoo


class SimCLR(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.backbone = small_backbone()
        self.projection_head = SimCLRProjectionHead(WIDTH, 128, 64)
        self.criterion = NegativeCosineSimilarity() if fault == "no-negatives" else NTXentLoss()

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.projection_head(self.backbone(x).flatten(start_dim=1))
        return z

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x0, x1), _ = batch
        loss: Tensor = self.criterion(self.forward(x0), self.forward(x1))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.3, momentum=0.9)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    # Before: DataLoader(Digits(SimCLRTransform(input_size=16, min_scale=0.4, …)), …) without collate_fn.
    views = ssl_zoo.BatchedViews("SimCLRTransform", size=16, min_scale=0.4, **SMALL)
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    return fit(SimCLR(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
