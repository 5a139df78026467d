"""What becomes of a checkpoint: its format, its encoder and the run's configuration. Nothing is written."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
from torch import Tensor

from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.config.options import data_for
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path
from ssl_zoo.importers.architectures import find_architecture
from ssl_zoo.importers.attention import num_heads_of
from ssl_zoo.importers.formats import CheckpointFormat, Pixels, Shapes
from ssl_zoo.importers.names import timm_names
from ssl_zoo.importers.read_file import Contents, read_weights
from ssl_zoo.importers.recognise import Accounted, account, recognise
from ssl_zoo.importers.schema import ImportConfig

__all__ = ["ImportPlan", "plan_import"]


@dataclasses.dataclass(frozen=True)
class ImportPlan:
    """A checkpoint that was understood, and the configuration of the run that it becomes."""

    file: Path
    entry: CheckpointFormat
    contents: Contents
    accounted: Accounted
    pixels: Pixels  # as the checkpoint's program prepares images
    weights: dict[str, Tensor]  # of the encoder, by timm's names
    config: RunConfig


def plan_import(options: ImportConfig, about_data: Sequence[str]) -> ImportPlan:
    """Reads and checks a checkpoint.

    Args:
        options: of the import.
        about_data: the overrides that begin with `data`.

    Raises:
        UserError: it cannot be read; its format or its model is not known; a key is not accounted for; timm's model
            would compute something else with its weights.
    """
    file = user_path(options.file, "file")
    contents = read_weights(file)
    entry, layout = recognise(contents.weights, options.format, file.name)
    accounted = account(contents.weights, entry, layout, file.name)
    new_names = timm_names(_shapes(accounted.encoder))
    weights = {new_names[name]: _float32(weight) for name, weight in accounted.encoder.items()}
    shapes = _shapes(weights)
    if entry.trap is not None and (reason := entry.trap(shapes, _shapes(contents.weights))) is not None:
        raise UserError(
            f"an encoder must compute what its own program's computes; received '{file.name}' of {entry.title}: "
            f"{reason}, so that the same weights would give other features; import another checkpoint"
        )
    num_heads = num_heads_of(entry, options.backbone.num_heads, weights, _shapes(contents.weights), file.name)
    asked = options.backbone
    architecture = find_architecture(shapes, asked.name, asked.stem, options.size, num_heads)
    if entry.pixels is None and "blocks.0.attn.qkv.weight" in shapes:
        _check_named(options, about_data, architecture.name, shapes)
    broken = [name for name, weight in weights.items() if not bool(weight.isfinite().all())]
    if broken:
        raise UserError(
            f"weights must be finite; '{file.name}' has {len(broken)} with nan or infinity, such as {broken[0]}; "
            "import an earlier checkpoint of that training"
        )
    pixels = _timms_pixels(architecture.name) if entry.pixels is None else entry.pixels
    size = architecture.size or options.size or pixels.size
    if options.size not in (None, size):
        raise UserError(
            f"the file's transformer has positions for images of {size} pixels; received size={options.size}; leave it "
            "out"
        )
    backbone = {"name": architecture.name, "stem": architecture.stem, "num_heads": num_heads}
    config = _config(options, about_data, entry, backbone, dataclasses.replace(pixels, size=size), file)
    return ImportPlan(file, entry, contents, accounted, pixels, weights, config)


def _check_named(options: ImportConfig, about_data: Sequence[str], name: str, shapes: Shapes) -> None:
    """Refuses a transformer whose program is not known: shapes tell neither attention heads nor mean and std."""
    alike = [each for each in (name, name.replace("vit_", "deit_")) if timm.is_model(each.partition(".")[0])]
    names = " or ".join(f"backbone.name={each}" for each in dict.fromkeys(alike))
    width = shapes["blocks.0.attn.qkv.weight"][-1]
    if options.format == "auto" and width < 768 and options.backbone.num_heads is None:
        raise UserError(
            "format=auto must not guess the attention heads of a plain transformer; received "
            f"'{options.file}' of width {width}: timm's have one per 64 channels, {width // 64}, MoCo v3's have 12 "
            f"with the same names and shapes, and would give other features; if it is timm's set format=timm {names}, "
            "if MoCo v3's format=mocov3"
        )
    given = {override.partition("=")[0].strip() for override in about_data}
    if options.backbone.name is None and not {"data.mean", "data.std"} <= given:
        raise UserError(
            "the mean and std of a plain transformer's images must be known, and its weights do not tell them; "
            f"received '{options.file}', with the shapes of {' and '.join(alike)}; set {names} (0.5 for timm's own "
            "vit_*, ImageNet's for DeiT and MoCo v3), or data.mean= and data.std="
        )


def _config(
    options: ImportConfig,
    about_data: Sequence[str],
    entry: CheckpointFormat,
    backbone: Mapping[str, Any],
    pixels: Pixels,
    file: Path,
) -> RunConfig:
    """Returns the run's configuration; views, optimizer and epochs in it are defaults that nothing reads."""
    data = {
        "name": "unknown",
        "source": "imagefolder",
        "mean": pixels.mean,
        "std": pixels.std,
        "interpolation": pixels.interpolation,
    }
    method = {"name": "imported", "format": entry.name, "file": file.name, "sha256": _sha256(file)}
    config = from_mapping(
        {
            "method": method,
            "data": data,
            "backbone": backbone,
            "augment": {"size": pixels.size},
            "epochs": 1,
            "seed": options.seed,
            "run_dir": options.run_dir,
        }
    )
    return dataclasses.replace(config, data=data_for(about_data, config)) if about_data else config


def _timms_pixels(name: str) -> Pixels:
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if default is None:
        return Pixels()
    mean, std = tuple(map(float, default.mean)), tuple(map(float, default.std))
    interpolation = "bicubic" if default.interpolation == "bicubic" else "bilinear"
    return Pixels(mean, std, interpolation, int(default.input_size[1]), float(default.crop_pct))


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(weight.shape) for name, weight in weights.items()}


def _float32(weight: Tensor) -> Tensor:
    """Returns weights of half precision as float32, which holds the same values."""
    return weight.float() if weight.is_floating_point() else weight


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()
