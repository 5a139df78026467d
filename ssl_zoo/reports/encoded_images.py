"""The images of a report as the encoders encode them: features and embeddings, trained and untrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.features import each_batch
from ssl_zoo.hardware.device import choose_hardware
from ssl_zoo.method import Encoder
from ssl_zoo.pages.page import Block, Prose
from ssl_zoo.reports.image_sample import Images
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.reports.structure import clusters
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["LAYER_NAMES", "EncodedImages", "Outputs", "encode"]

CLUSTERS = 10
# Of `Outputs`, not normalised. A section about two augmented views mentions them.
LAYER_NAMES = {"features": "backbone's features", "embeddings": "projector's outputs"}


@dataclass(frozen=True)
class Outputs:
    """Outputs of an encoder for N images; float32, on the CPU."""

    features: Tensor  # (N, F), of the backbone
    embeddings: Tensor  # (N, D), of the projector

    @property
    def finite(self) -> bool:
        """Whether all are finite; those of a diverged network are not."""
        return bool(self.features.isfinite().all() and self.embeddings.isfinite().all())


def encode(encoders: Sequence[Encoder], images: Images, size: int, data: DataConfig) -> list[Outputs]:
    """Encodes the images by each encoder, in evaluation mode and float32; each image is read once.

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


@dataclass(frozen=True)
class EncodedImages:
    """The images of a run's report, as its encoders encode them."""

    run: SavedRun
    config: ReportConfig
    data: DataConfig
    images: Images
    outputs: dict[str, Outputs]  # "trained" and, unless the initial weights cannot be fetched, "untrained"

    @property
    def usable(self) -> dict[str, Outputs]:
        """The encoders whose outputs are all finite."""
        return {name: outputs for name, outputs in self.outputs.items() if outputs.finite}

    @property
    def left_out(self) -> list[Block]:
        """A sentence about the encoders that have nothing to show."""
        names = " and the ".join(f"{name} encoder" for name in self.outputs if name not in self.usable)
        return [Prose(f"Nothing of the {names} is shown: its outputs are not finite.")] if names else []

    @cached_property
    def groups(self) -> tuple[Tensor, tuple[str, ...]] | None:
        """(N,) classes with their names or, without labels, clusters; None where there is nothing to cluster."""
        if self.images.labels is not None and self.images.classes is not None:
            return self.images.labels, self.images.classes
        if "trained" not in self.usable:
            return None
        groups = clusters(self.outputs["trained"].features, CLUSTERS, self.config.seed)
        return groups, tuple(str(number + 1) for number in range(int(groups.max()) + 1))
