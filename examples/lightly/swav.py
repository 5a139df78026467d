"""SwAV after lightly's documentation, with multi-crop and our monitor, which compares the two large crops.

    python examples/lightly/swav.py             # healthy
    python examples/lightly/swav.py no-sinkhorn # codes are the softmax of the other view: nothing balances them

- [0] SwAV, 2020, https://arxiv.org/abs/2006.09882
"""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import SMALL, WIDTH, Digits, fit, small_backbone
from lightly.loss import SwaVLoss
from lightly.models.modules import SwaVProjectionHead, SwaVPrototypes
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader

import ssl_zoo


class SwaV(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.backbone = small_backbone()
        self.projection_head = SwaVProjectionHead(WIDTH, 128, 64)
        self.prototypes = SwaVPrototypes(64, n_prototypes=100)
        self.criterion = SwaVLoss()

    def forward(self, x: Tensor) -> Tensor:
        z = self.projection_head(self.backbone(x).flatten(start_dim=1))
        scores: Tensor = self.prototypes(normalize(z, dim=1))
        return scores

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.prototypes.normalize()
        views, _ = batch
        scores = [self.forward(view) for view in views]
        if self.fault == "no-sinkhorn":
            codes = [(s.detach() / 0.05).softmax(dim=1) for s in scores[:2]]
            return cross_entropy(scores[0] / 0.1, codes[1]) + cross_entropy(scores[1] / 0.1, codes[0])
        loss: Tensor = self.criterion(scores[:2], scores[2:])
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.001)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    crops = {
        "crop_sizes": (16, 8),
        "crop_counts": (2, 2),
        "crop_min_scales": (0.4, 0.2),
        "crop_max_scales": (1.0, 0.4),
    }
    views = ssl_zoo.BatchedViews("SwaVTransform", **crops, **SMALL)
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    return fit(SwaV(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
