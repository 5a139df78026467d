"""The backbone of a run with what its users must know: how to build it, and what images it expects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ssl_zoo.backbone import inspect_backbone
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.data.split import SMALL_SIDE
from ssl_zoo.errors import UserError
from ssl_zoo.exporters.preprocess import Preprocess
from ssl_zoo.run_dir.saved_run import SavedRun, digest_of

__all__ = [
    "ExportedEncoder",
    "ExportedFiles",
    "crop_pct",
    "encoder_of",
    "is_fixed",
    "pretrained_cfg",
    "save_weights",
]


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an export, and the code that loads them."""

    files: dict[str, str]  # name: description
    code: str  # Python that builds `model` or `session` with the other library alone, run in the folder
    notes: tuple[str, ...] = ()  # for the card
    further: tuple[tuple[str, str], ...] = ()  # (heading, Python)
    normalizes: bool = False  # takes images in [0, 1]
    where: str = "In this folder"  # `code` is run
    license: str | None = None  # of the weights


@dataclass(frozen=True)
class ExportedEncoder:
    """A backbone in evaluation mode, on the CPU; images (N, C, size, size), normalised, to features (N, F)."""

    run: SavedRun
    model: nn.Module
    weights: str  # trained or random
    size: int  # pixels
    num_features: int

    @property
    def architecture(self) -> str:
        """timm's name, without the tag of pretrained weights."""
        return self.run.config.backbone.name.partition(".")[0]

    @property
    def small_stem(self) -> bool:
        """Whether a 3x3 convolution without stride stands in place of the stem that timm builds."""
        return self.run.config.backbone.stem == "small"

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.run.config.data.channels

    @property
    def preprocess(self) -> Preprocess:
        """Image -> (C, size, size)."""
        data = self.run.config.data
        return Preprocess(self.size, data.channels, data.mean, data.std, data.bit_depth, data.interpolation)

    @property
    def state(self) -> dict[str, Tensor]:
        """The weights by timm's names, each in memory of its own."""
        return {name: w.detach().clone().contiguous() for name, w in self.model.state_dict().items()}

    @property
    def digest(self) -> str:
        """The digest of these weights; see `saved_run.digest_of`."""
        return digest_of(self.model.state_dict())

    @torch.inference_mode()
    def features(self, images: Tensor) -> Tensor:
        """(N, C, size, size), normalised -> (N, F)."""
        features: Tensor = self.model(images)
        return features

    def probe(self, count: int = 2) -> Tensor:
        """Images to compare two builds of the encoder on, (count, C, size, size), always the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(count, self.channels, self.size, self.size, generator=generator)

    @property
    def model_args(self) -> dict[str, int]:
        """The arguments by which the network differs from the one that timm builds by its name alone."""
        num_heads = self.run.config.backbone.num_heads
        return {} if num_heads is None else {"num_heads": num_heads}

    def metadata(self) -> dict[str, str]:
        """Metadata for a file format that can carry text."""
        run, result = self.run, self.run.result or {}
        reached = result if self.weights == "trained" and run.is_last else {}
        data = run.config.data
        values: dict[str, Any] = {
            "architecture": self.architecture,
            "stem": run.config.backbone.stem,
            "num_heads": run.config.backbone.num_heads,
            "channels": self.channels,
            "size": self.size,
            "mean": list(data.mean),
            "std": list(data.std),
            "num_features": self.num_features,
            "weights": self.weights,
            "digest": self.digest,
            "method": run.config.method.label if run.is_imported else run.config.method.name,
            "data": data.name,
            "images": None if run.is_imported else run.images,
            "epochs": None if run.is_imported else run.position.epoch if self.weights == "trained" else 0,
            "seed": run.config.seed,
            "verdict": reached.get("verdict"),
            "verdict_reason": reached.get("verdict_reason"),
            "knn_top1": reached.get("knn_top1"),
            "linear_top1": reached.get("linear_top1"),
            "config_hash": result.get("config_hash"),
            "git_commit": result.get("git_commit"),
        }
        return {key: str(value) for key, value in values.items() if value is not None}


def save_weights(encoder: ExportedEncoder, file: Path) -> None:
    """Writes a safetensors file that describes itself in its metadata."""
    # `save_file` would leave a file that its owner alone can read.
    file.write_bytes(save(encoder.state, {"format": "pt", **encoder.metadata()}))


def encoder_of(run: SavedRun, weights: str = "trained", size: int | None = None) -> ExportedEncoder:
    """Builds the backbone of a run.

    Args:
        run: opened with `saved_run.open_run`.
        weights: trained, or random: as it was before its training.
        size: pixels, side of the images; null: of those it was trained on.

    Raises:
        UserError: a weight is missing or does not fit; the model cannot read images of this size.
    """
    trained_size = run.config.augment.size
    size = trained_size if size is None else size
    name, channels = run.config.backbone.name, run.config.data.channels
    if size != trained_size and is_fixed(name):
        raise UserError(
            f"backbone '{name}' is built for one image size, that of its training; received size={size}; leave it out "
            f"or set size={trained_size}"
        )
    model = run.backbone(trained=weights == "trained", size=size).float().eval()
    return ExportedEncoder(run, model, weights, size, inspect_backbone(model, name, channels, size)[0])


def is_fixed(name: str) -> bool:
    """Whether timm builds a model for one image size, by `img_size`."""
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return default is not None and bool(default.fixed_input_size)


def pretrained_cfg(encoder: ExportedEncoder) -> dict[str, Any]:
    """timm's description of the weights, so that `timm.data` makes the evaluation view."""
    data, built = encoder.run.config.data, getattr(encoder.model, "pretrained_cfg", {})
    kept = {key: built[key] for key in ("first_conv", "classifier") if built.get(key)}
    return {
        "input_size": [encoder.channels, encoder.size, encoder.size],
        "fixed_input_size": is_fixed(encoder.run.config.backbone.name),
        "interpolation": data.interpolation,
        "crop_pct": 1.0 if _sees_small(encoder) else crop_pct(encoder.size),
        "crop_mode": "center",
        "mean": list(data.mean),
        "std": list(data.std),
        "num_classes": 0,
        **kept,
    }


def _sees_small(encoder: ExportedEncoder) -> bool:
    """Whether the run was trained on images that the evaluation view leaves whole.

    timm has one `crop_pct` for all images, the evaluation view two. Which holds follows from the source; of folders,
    small crops are taken for those of small images.
    """
    config = encoder.run.config
    side = SOURCES.get(config.data.source).side
    return (config.augment.size if side is None else side) <= SMALL_SIDE


def crop_pct(size: int) -> float:
    """Returns the fraction of a large image's shorter side that the centre crop keeps, as timm takes it.

    timm resizes to floor(size / crop_pct) pixels, which must be those of `data.split.plain_view`.
    """
    side = round(size * 256 / 224)
    fraction = size / side
    return fraction if math.floor(size / fraction) == side else math.nextafter(fraction, 0)
