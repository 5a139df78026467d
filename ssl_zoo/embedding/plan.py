"""Builds and checks everything that an embedding needs, before anything is created."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ssl_zoo.config.added_keys import without_added
from ssl_zoo.config.options import data_for
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import load_data
from ssl_zoo.embedding.encoding import EncodingSettings
from ssl_zoo.embedding.images import ImageList, list_images
from ssl_zoo.embedding.schema import EmbedConfig
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import Hardware, choose_hardware, use_threads
from ssl_zoo.method import Encoder
from ssl_zoo.run_dir.environment import environment
from ssl_zoo.run_dir.saved_run import SavedRun, open_run

__all__ = ["EmbeddingPlan", "plan_embedding"]

# Keys of the data that change no feature, folders (their files are recorded), and keys that the record has elsewhere.
NOT_RECORDED = (
    "cache_mb",
    "workers",
    "on_error",
    "root",
    "train",
    "test",
    "mean",
    "std",
    "spool_gb",
    "shuffle_shards",
)


@dataclass(frozen=True)
class EmbeddingPlan:
    """An embedding that could begin now."""

    title: str
    encoder: nn.Module  # on its device, in evaluation mode: images (N, C, H, W), normalised, to (N, width)
    width: int
    images: ImageList
    skipped: tuple[str, ...]  # files that were recognised as unreadable before any was decoded
    settings: EncodingSettings
    hardware: Hardware
    record: dict[str, Any]  # provenance of the features: the metadata


def plan_embedding(options: EmbedConfig, about_data: Sequence[str]) -> EmbeddingPlan:
    """Builds and checks everything.

    Args:
        options: of the embedding.
        about_data: the overrides that begin with `data`.

    Raises:
        UserError: what the overrides name is wrong; nothing has been created then.
    """
    hardware = _hardware(options)
    run = open_run(options.run)
    # A folder is read file by file even where it would fit into memory, which would grow with it.
    data_config = dataclasses.replace(data_for(about_data, run.config), cache_mb=0.0)
    size = run.config.augment.size if options.size is None else options.size
    encoder = _encoder(run, options, size).to(hardware.device).to(memory_format=torch.channels_last)
    width = _width(encoder, data_config.channels, size, hardware)
    data = load_data(data_config, whole=False)  # what turns out to be unreadable is left out on the way
    images = list_images(data, options.split)
    settings = EncodingSettings(
        size=size,
        mean=data_config.mean,
        std=data_config.std,
        batch_size=options.batch_size,
        normalize=options.normalize,
        dtype=options.dtype,
    )
    where = (
        f"{torch.get_num_threads()} CPU threads" if hardware.device.type == "cpu" else str(hardware.device)
    )
    subset = {"train": "training images", "test": "test images", "all": "images"}[options.split]
    return EmbeddingPlan(
        title=f"{run.title} ({options.weights}, {options.layer}) · {len(images)} {subset} of {data_config.name} · "
        f"{width} features · {hardware.precision} on {where}",
        encoder=encoder,
        width=width,
        images=images,
        skipped=data.skipped,
        settings=settings,
        hardware=hardware,
        record={
            **_record(options, run, data_config, images, size, width, hardware),
            **({} if data.digest is None else {"data_digest": data.digest}),
        },
    )


def _hardware(options: EmbedConfig) -> Hardware:
    plan = choose_hardware(options.accelerator, "fp32" if options.precision == "auto" else options.precision)
    use_threads(options.threads)
    return plan


def _encoder(run: SavedRun, options: EmbedConfig, size: int) -> nn.Module:
    trained = options.weights == "trained"
    backbone = run.backbone(trained=trained, size=size)
    if options.layer == "backbone":
        return backbone
    return Encoder(backbone, run.method(trained=trained).encoder.projector).eval()


def _width(encoder: nn.Module, channels: int, size: int, hardware: Hardware) -> int:
    """Measures the width of an image's features by encoding two blank images."""
    try:
        with torch.inference_mode():
            features = encoder(torch.zeros(2, channels, size, size, device=hardware.device))
    except Exception as error:  # whatever a model makes of images that it was not built for
        raise UserError(
            f"size must be one that the encoder can read; received {size} ({str(error).splitlines()[0]}); leave it out"
        ) from error
    assert features.ndim == 2
    return int(features.shape[1])


def _record(
    options: EmbedConfig,
    run: SavedRun,
    data: DataConfig,
    images: ImageList,
    size: int,
    width: int,
    hardware: Hardware,
) -> dict[str, Any]:
    """Returns the provenance of the features: the metadata, with which a continuation is compared."""
    here = environment(hardware)
    return {
        "run": run.digest,
        "method": run.config.method.name,
        "seed": run.config.seed,
        "epoch": run.position.epoch if options.weights == "trained" else 0,
        "weights": options.weights,
        "layer": options.layer,
        "width": width,
        "normalize": options.normalize,
        "dtype": options.dtype,
        "split": options.split,
        "data": _recorded(data),
        "mean": data.mean,
        "std": data.std,
        "size": size,
        "images": len(images),
        "files": images.digest,
        "file_sizes_and_times": images.stamp,  # by which a file that was replaced is noticed, on this machine
        "batch_size": options.batch_size,
        "precision": hardware.precision,
        # The last bits depend on these too.
        "device": here["device"],
        "processor": here["processor"],
        "threads": torch.get_num_threads() if hardware.device.type == "cpu" else None,
        "torch": here["versions"].get("torch"),
        "git_commit": here["git_commit"],
        "versions": here["versions"],
    }


def _recorded(data: DataConfig) -> dict[str, Any]:
    """Returns what is recorded of the data; keys that came later, where they change nothing, are left out."""
    values = without_added(dataclasses.asdict(data), "data.")
    return {key: value for key, value in values.items() if key not in NOT_RECORDED}
