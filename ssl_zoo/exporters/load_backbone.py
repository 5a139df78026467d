"""A run's backbone with its preprocessing, for programs that use it in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ssl_zoo.backbone import build_backbone
from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.data.bands import WHITE
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.exporters.encoder import encoder_of, is_fixed, pretrained_cfg
from ssl_zoo.exporters.from_hub import PREFIX, download
from ssl_zoo.exporters.preprocess import Preprocess
from ssl_zoo.files.json_files import load_json
from ssl_zoo.run_dir.saved_run import load_strictly, open_run

__all__ = ["LoadedBackbone", "load_backbone"]


class LoadedBackbone(NamedTuple):
    """A timm model in evaluation mode, (N, C, size, size) to features (N, F), and what makes its input."""

    model: nn.Module
    preprocess: Preprocess  # image -> float32 (C, size, size)


def load_backbone(
    run: str | Path, *, weights: Literal["trained", "random"] = "trained", size: int | None = None
) -> LoadedBackbone:
    """Loads a backbone: `model, preprocess = load_backbone("runs/mine")`, then `model(preprocess(image)[None])`.

    `model.pretrained_cfg` holds the encoder's own mean, standard deviation and input size, which
    `timm.data.resolve_model_data_config` reads.

    Args:
        run: a run directory, a checkpoint, the folder that `ssl-zoo export format=timm` made, or `hf:OWNER/NAME`, a
            repository of the Hugging Face hub that `to=hub` made; `hf:OWNER/NAME@REVISION` is one of its revisions.
        weights: trained, or random: as it was before its training.
        size: pixels, side of the images; null: of those it was trained on.

    Raises:
        UserError: there is no such run; it is damaged; a weight is missing; the size does not fit.
    """
    if weights not in ("trained", "random"):
        raise unknown_name("weights", str(weights), ("trained", "random"))
    if isinstance(run, str) and run.startswith(PREFIX):
        return _exported(download(run), weights, size)
    folder = Path(run).expanduser()
    if (folder / "config.json").is_file():
        return _exported(folder, weights, size)
    encoder = encoder_of(open_run(run), weights, size)
    _describe(encoder.model, pretrained_cfg(encoder))
    return LoadedBackbone(encoder.model, encoder.preprocess)


def _exported(folder: Path, weights: str, size: int | None) -> LoadedBackbone:
    if weights != "trained":
        raise UserError(
            f"weights={weights} needs the run itself; received '{folder}', which is an export; name the run directory"
        )
    try:
        written = load_json(folder / "config.json")
        described, cfg = written["ssl_zoo"], dict(written["pretrained_cfg"])
        backbone = BackboneConfig(
            name=described["architecture"],
            stem=described["stem"],
            num_heads=written.get("model_args", {}).get("num_heads"),
        )
        channels, exported_for = int(described["channels"]), int(described["size"])
        bit_depth = int(described.get("bit_depth", 8))  # earlier exports have none
        interpolation = {"bicubic": "bicubic"}.get(str(cfg.get("interpolation")), "bilinear")
        mean, std = tuple(map(float, described["mean"])), tuple(map(float, described["std"]))
        if len(mean) != channels or len(std) != channels or min(std) <= 0 or bit_depth not in WHITE:
            raise ValueError(f"mean, std and bit_depth do not describe images of {channels} channels")
        state = load_file(folder / "model.safetensors")
    except (
        AttributeError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
        OSError,
        SafetensorError,
    ) as error:
        raise UserError(
            f"'{folder}' must be a folder that ssl-zoo export format=timm made; it cannot be read as one "
            f"({type(error).__name__}: {error}); export the run again"
        ) from error
    size = exported_for if size is None else size
    if size != exported_for and is_fixed(backbone.name):
        raise UserError(
            f"backbone '{backbone.name}' is built for one image size; received size={size}; leave it out or set "
            f"size={exported_for}"
        )
    model = build_backbone(backbone, channels, size).model
    load_strictly(model, state, folder / "model.safetensors")
    _describe(model.eval(), {**cfg, "input_size": [channels, size, size]})
    return LoadedBackbone(model, Preprocess(size, channels, mean, std, bit_depth, interpolation))


def _describe(model: nn.Module, cfg: dict[str, Any]) -> None:
    """Describes what the model expects in timm's terms, in place of where timm's weights can be had."""
    as_tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in cfg.items()}
    built = getattr(model, "pretrained_cfg", {})
    as_tuples["architecture"] = built.get("architecture")
    model.pretrained_cfg = as_tuples  # type: ignore[assignment]
    model.default_cfg = as_tuples  # type: ignore[assignment]
