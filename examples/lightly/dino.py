"""DINO after lightly's documentation, with our monitor: embeddings are what enters the head's last layer.

    python examples/lightly/dino.py               # healthy
    python examples/lightly/dino.py no-centering  # the teacher's outputs are only sharpened

- [0] DINO, 2021, https://arxiv.org/abs/2104.14294
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytorch_lightning as pl
import torch
from digits import WIDTH, Digits, fit, small_backbone
from lightly.loss import DINOLoss
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor
from torch.utils.data import DataLoader

import ssl_zoo


class DINO(pl.LightningModule):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.student_backbone = small_backbone()
        self.student_head = DINOProjectionHead(WIDTH, 128, 64, 256, batch_norm=True)
        self.teacher_backbone = copy.deepcopy(self.student_backbone)
        self.teacher_head = DINOProjectionHead(WIDTH, 128, 64, 256, batch_norm=True)
        deactivate_requires_grad(self.teacher_backbone)
        deactivate_requires_grad(self.teacher_head)
        # A centre that keeps all of itself stays at 0.
        self.criterion = DINOLoss(output_dim=256, center_momentum=1.0 if fault == "no-centering" else 0.9)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.student_head(self.student_backbone(x).flatten(start_dim=1))
        return z

    def forward_teacher(self, x: Tensor) -> Tensor:
        z: Tensor = self.teacher_head(self.teacher_backbone(x).flatten(start_dim=1))
        return z

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        update_momentum(self.student_backbone, self.teacher_backbone, m=0.99)
        update_momentum(self.student_head, self.teacher_head, m=0.99)
        views, _ = batch
        teacher = [self.forward_teacher(view) for view in views[:2]]
        student = [self.forward(view) for view in views]
        loss: Tensor = self.criterion(teacher, student, epoch=self.current_epoch)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.001)


def train(fault: str = "", seed: int = 0, epochs: int = 15, **options: Any) -> ssl_zoo.Diagnosis:
    pl.seed_everything(seed, verbose=False)
    crops = {"global_crop_size": 16, "local_crop_size": 8, "local_crop_scale": (0.2, 0.4), "n_local_views": 2}
    views = ssl_zoo.BatchedViews("DINOTransform", **crops, hf_prob=0.0, gaussian_blur=(0.0, 0.0, 0.0))
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    return fit(DINO(fault), loader, epochs, **options)


if __name__ == "__main__":
    train(*sys.argv[1:2])
