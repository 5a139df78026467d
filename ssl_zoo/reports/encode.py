"""Features and embeddings of the images, by the trained encoder and by what it was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.features import each_batch
from ssl_zoo.hardware.device import choose_hardware
from ssl_zoo.method import Encoder
from ssl_zoo.reports.image_sample import Images

__all__ = ["LAYER_NAMES", "Outputs", "encode"]

# Of `Outputs`, not normalised; what is said of two augmented views is said so where it stands.
LAYER_NAMES = {"features": "backbone's features", "embeddings": "projector's outputs"}


@dataclass(frozen=True)
class Outputs:
    """What an encoder makes of N images; float32, on the CPU."""

    features: Tensor  # (N, F), of the backbone
    embeddings: Tensor  # (N, D), of the projector

    @property
    def finite(self) -> bool:
        """Whether all are numbers: not so of a diverged network."""
        return bool(self.features.isfinite().all() and self.embeddings.isfinite().all())


def encode(encoders: Sequence[Encoder], images: Images, size: int, data: DataConfig) -> list[Outputs]:
    """Passes the images through each encoder, in evaluation mode and float32; each image is read once.

    Args:
        encoders: for images of `data.channels`.
        images: N of them.
        size: pixels that the encoders see.
        data: mean and std.

    Raises:
        UserError: an image cannot be read.
    """
    hardware = choose_hardware("auto", "fp32")
    encoders = [encoder.to(hardware.device).eval() for encoder in encoders]

    def outputs(x: Tensor) -> list[Outputs]:
        features = [encoder.backbone(x) for encoder in encoders]  # (n, F) each
        return [
            Outputs(f.float().cpu(), encoder.projector(f).float().cpu())  # (n, D)
            for f, encoder in zip(features, encoders, strict=True)
        ]

    batches = list(each_batch(outputs, images.split, size, data.mean, data.std, hardware))
    return [
        Outputs(torch.cat([part.features for part in parts]), torch.cat([part.embeddings for part in parts]))
        for parts in zip(*batches, strict=True)
    ]
