"""SimSiam after lightly's documentation, with our monitor; views are made in the module, on its device.

    python examples/lightly/simsiam.py                    # healthy
    python examples/lightly/simsiam.py no-stop-gradient   # also: no-predictor

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566
"""

from __future__ import annotations

import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import SMALL, WIDTH, Digits, fit, small_backbone
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import PILToTensor

import ssl_zoo


class SimSiam(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.backbone = small_backbone()
        self.projection_head = SimSiamProjectionHead(WIDTH, 128, 128)
        self.prediction_head = SimSiamPredictionHead(128, 32, 128)
        if fault == "no-predictor":
            self.prediction_head = nn.Identity()
        self.criterion = NegativeCosineSimilarity()
        self.views = ssl_zoo.BatchedViews("SimSiamTransform", size=16, min_scale=0.4, **SMALL)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        images, labels = batch  # uint8, of one size
        return self.views(images), labels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        f = self.backbone(x).flatten(start_dim=1)
        z = self.projection_head(f)
        p = self.prediction_head(z)
        return (z if self.fault == "no-stop-gradient" else z.detach()), p

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x0, x1), _ = batch
        z0, p0 = self.forward(x0)
        z1, p1 = self.forward(x1)
        loss: Tensor = 0.5 * (self.criterion(z0, p1) + self.criterion(z1, p0))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    # Before: Digits(SimSiamTransform(input_size=16, min_scale=0.4, …)), which makes the views image by image.
    loader = DataLoader(Digits(PILToTensor()), batch_size=64, shuffle=True, drop_last=True)
    return fit(SimSiam(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
