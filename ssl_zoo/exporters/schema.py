"""The keys of `ssl-zoo export`, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
    """Folder of the export. null: RUN/export/FORMAT, or RUN/export/hub."""
    size: Count | None = None
    """Side of the images that the export is for, in pixels. null: that of the training."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder. random: the encoder before its training."""
    to: Literal["folder", "hub"] = "folder"
    """hub: format=timm as a model repository of the Hugging Face hub, ready to push."""
    repo: str | None = None
    """With to=hub: the repository, OWNER/NAME."""
    push: bool = False
    """With to=hub: whether it is pushed, once it is written."""
    private: bool = False
    """With push=true: whether a repository that is not there yet becomes a private one."""
    license: Annotated[str, Field(min_length=1)] | None = None
    """With to=hub: the licence of the weights by the hub's name, such as mit. null: none is claimed."""


@section
class OnnxConfig(ExportConfig):
    """An ONNX graph."""

    include_normalization: bool = True
    """Whether the graph takes images in [0, 1] and normalises them itself."""
