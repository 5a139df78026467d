"""What the scripts beside this file share: scikit-learn's 1,797 digits, a small backbone, a trainer.

Put your own dataset, `torchvision.models.resnet18` and your own trainer in their place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

import ssl_zoo

WIDTH = 64  # of the backbone's features
# Arguments of lightly's transforms that suit small gray digits.
SMALL: dict[str, Any] = {"hf_prob": 0.0, "gaussian_blur": 0.0}


class Digits(Dataset[Any]):
    """RGB images of 16 x 16 pixels with their labels, as PIL images or as a transform makes them."""

    def __init__(self, transform: Any = None) -> None:
        scans, self.labels = load_digits(return_X_y=True)  # (1797, 64), of 0 to 16
        pixels = np.rint(scans * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
        self.images = [Image.fromarray(scan).resize((16, 16)).convert("RGB") for scan in pixels]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        image = self.images[index]
        return image if self.transform is None else self.transform(image), int(self.labels[index])


def small_backbone() -> nn.Module:
    """Returns a network of three convolutions; its output is (N, 64, 1, 1), as of a ResNet without its last layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, WIDTH)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1))


def fit(model: pl.LightningModule, loader: Any, epochs: int, **options: Any) -> ssl_zoo.Diagnosis:
    """Trains on the CPU with our monitor, and returns its diagnosis."""
    monitor = ssl_zoo.CollapseMonitor(stop=True, **options)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[monitor], **quiet).fit(model, loader)  # type: ignore[arg-type]
    assert monitor.diagnosis is not None
    return monitor.diagnosis
