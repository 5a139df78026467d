"""The words of `ssl-zoo export`, typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ssl_zoo.config.options import read_options
from ssl_zoo.config.schema import Count, Folder, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.runs.paths import checkpoint_of

__all__ = ["FORMATS", "ExportConfig", "read_export"]

Format = Literal["timm", "torchvision", "safetensors", "onnx", "detectron2"]
FORMATS: tuple[str, ...] = get_args(Format)
FILES = (".safetensors", ".onnx", ".pkl", ".pt", ".pth", ".ckpt", ".json")


@section
class ExportConfig:
    """What is exported, in which formats and to which folder."""

    run: Folder
    """A run directory or a checkpoint."""
    format: tuple[Format, ...]
    """Formats of the backbone; docs/evaluation.md has what each is for."""
    out: Folder | None = None
    """Folder of the export. null: RUN/export/FORMAT."""
    size: Count | None = None
    """Side of the images that the export is for, in pixels. null: that of the training."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder. random: the encoder before its training."""
    include_normalization: bool = True
    """Of onnx: whether the graph takes images in [0, 1] and normalises them itself."""


def read_export(overrides: Sequence[str]) -> ExportConfig:
    """The options that the overrides give.

    Raises:
        UserError: a word cannot be read; an unknown key or format; a wrong value; an option that no format reads.
    """
    values, about_data = read_options(overrides)
    if about_data:
        raise UserError(f"export reads no images; received '{about_data[0]}'; leave it out")
    named = values.get("format")
    if named is not None:
        names = named if isinstance(named, list) else [named]
        for name in names:
            if name not in FORMATS:
                raise unknown_name("format", str(name), FORMATS)
        values["format"] = list(dict.fromkeys(names))
    config = validate(ExportConfig, values, "")
    if not config.format:
        raise UserError(f"format takes a name, or several as [timm,onnx]; received []; there are {_listed()}")
    if not config.include_normalization and "onnx" not in config.format:
        raise UserError(
            "include_normalization is read with format=onnx only; received false with "
            f"format={','.join(config.format)}; leave it out"
        )
    if config.out is not None and Path(config.out).suffix in FILES:
        raise UserError(
            f"out names a folder, for the file and its card; received '{config.out}'; set for instance "
            f"out={Path(config.out).with_suffix('')}"
        )
    checkpoint_of(config.run)
    return config


def _listed() -> str:
    return ", ".join(FORMATS)
