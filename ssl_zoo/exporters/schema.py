"""The keys of `ssl-zoo export`, typed."""

from __future__ import annotations

from typing import Literal

from ssl_zoo.config.schema import Count, Folder, section

__all__ = ["ExportConfig", "OnnxConfig"]


@section
class ExportConfig:
    """Settings of an export: the run, the formats and the folder."""

    run: Folder
    """A run directory or a checkpoint."""
    format: tuple[str, ...]
    """Formats of the backbone; docs/evaluation.md has what each is for."""
    out: Folder | None = None
    """Folder of the export. null: RUN/export/FORMAT."""
    size: Count | None = None
    """Side of the images that the export is for, in pixels. null: that of the training."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder. random: the encoder before its training."""


@section
class OnnxConfig(ExportConfig):
    """An ONNX graph."""

    include_normalization: bool = True
    """Whether the graph takes images in [0, 1] and normalises them itself."""
