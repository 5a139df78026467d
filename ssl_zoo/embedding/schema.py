"""The typed configuration of an embedding; `data=` and `data.*` are read as in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from ssl_zoo.config.options import read_options
from ssl_zoo.config.schema import Count, Folder, section
from ssl_zoo.config.validate import validate
from ssl_zoo.run_dir.paths import checkpoint_of

__all__ = ["EmbedConfig", "read_embed"]


@section
class EmbedConfig:
    """Settings of an embedding: the features, the images and the file."""

    run: Folder
    """A run directory or a checkpoint."""
    out: Folder
    """File of the features, NAME.parquet or NAME.npy."""
    split: Literal["train", "test", "all"] = "train"
    """Which images. train: all images of data.train."""
    layer: Literal["backbone", "projector"] = "backbone"
    """Whose outputs. projector: the embeddings z."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder. random: the encoder before its training."""
    normalize: bool = False
    """Whether features are scaled to unit length."""
    dtype: Literal["float32", "float16"] = "float32"
    """Number format of the file. Features are computed in float32."""
    size: Count | None = None
    """Side of the square view, in pixels. null: that of the training."""
    batch_size: Count = 256
    """Images per forward pass."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the encoder. auto: fp32, so that features are those of an evaluation."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """The device. auto: a GPU where there is one."""
    threads: Count | None = None
    """CPU threads. null: torch's choice."""
    progress: bool = True
    """Whether progress is printed, on a terminal."""

    def __post_init__(self) -> None:
        if PurePath(self.out).suffix not in (".parquet", ".npy"):
            raise ValueError(
                f"out must be a file NAME.parquet or NAME.npy; received '{self.out}'; set for instance "
                "out=features.parquet"
            )


def read_embed(overrides: Sequence[str]) -> tuple[EmbedConfig, list[str]]:
    """Reads the options and the overrides of the data, checked as far as it goes without opening the run.

    Raises:
        UserError: an override cannot be read, a key is unknown, a value wrong, or there is no such run.
    """
    values, about_data = read_options(overrides)
    options = validate(EmbedConfig, values, "")
    checkpoint_of(options.run)
    return options, about_data
