"""BYOL after lightly's documentation in a plain PyTorch loop, with `ssl_zoo.diagnose`.

    python examples/lightly/byol_loop.py                   # healthy
    python examples/lightly/byol_loop.py no-predictor      # also: no-predictor-no-stop-gradient

- [0] BYOL, 2020, https://arxiv.org/abs/2006.07733
"""

from __future__ import annotations

import copy
import sys

import torch
from digits import WIDTH, Digits, small_backbone
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms import BYOLTransform, BYOLView1Transform  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.utils.data import DataLoader

import ssl_zoo


class BYOL(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.encoder = nn.Sequential(small_backbone(), nn.Flatten(), BYOLProjectionHead(WIDTH, 128, 64))
        self.prediction_head = BYOLPredictionHead(64, 128, 64) if not fault else None
        self.encoder_momentum = copy.deepcopy(self.encoder)
        deactivate_requires_grad(self.encoder_momentum)

    def target(self, x: Tensor) -> Tensor:
        z: Tensor = self.encoder(x) if "stop-gradient" in self.fault else self.encoder_momentum(x).detach()
        return z


def train(fault: str = "", seed: int = 0, epochs: int = 15, quiet: bool = False) -> ssl_zoo.Diagnosis:
    torch.manual_seed(seed)
    model, criterion = BYOL(fault), NegativeCosineSimilarity()
    view = BYOLView1Transform(input_size=16, min_scale=0.4, hf_prob=0.0, gaussian_blur=0.0)
    views = ssl_zoo.BatchedViews(BYOLTransform(view, view))  # an object of lightly's, read back
    loader = DataLoader(Digits(), batch_size=64, shuffle=True, drop_last=True, collate_fn=views.collate)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9)
    diagnosis = None
    for epoch in range(epochs):
        for (x0, x1), _ in loader:
            update_momentum(model.encoder, model.encoder_momentum, m=0.99)
            z0, z1, t0, t1 = model.encoder(x0), model.encoder(x1), model.target(x0), model.target(x1)
            p0, p1 = (z0, z1) if model.prediction_head is None else map(model.prediction_head, (z0, z1))
            loss = 0.5 * (criterion(p0, t1) + criterion(p1, t0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        predictions = None if model.prediction_head is None else (p0, p1)
        diagnosis = ssl_zoo.diagnose(
            z0, z1, predictions=predictions, targets=(t0, t1), loss=loss, epochs=epoch + 1
        )
    if not quiet:
        print(diagnosis)
    assert diagnosis is not None
    return diagnosis


if __name__ == "__main__":
    train(*sys.argv[1:2])
