"""Barlow Twins after lightly's documentation, with our monitor.

    python examples/lightly/barlow_twins.py            # healthy
    python examples/lightly/barlow_twins.py same-view  # view 0 passed twice

- [0] Barlow Twins, 2021, https://arxiv.org/abs/2103.03230
"""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import SMALL, WIDTH, Digits, fit, small_backbone
from lightly.loss import BarlowTwinsLoss
from lightly.models.modules import BarlowTwinsProjectionHead
from torch import Tensor
from torch.utils.data import DataLoader

import ssl_zoo


class BarlowTwins(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.backbone = small_backbone()
        self.projection_head = BarlowTwinsProjectionHead(WIDTH, 128, 128)
        self.criterion = BarlowTwinsLoss()

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.projection_head(self.backbone(x).flatten(start_dim=1))
        return z

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x0, x1), _ = batch
        loss: Tensor = self.criterion(self.forward(x0), self.forward(x0 if self.fault == "same-view" else x1))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    views = ssl_zoo.BatchedViews("SimCLRTransform", size=16, min_scale=0.4, **SMALL)
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    return fit(BarlowTwins(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
