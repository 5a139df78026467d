"""The keys of `ssl-zoo import`, typed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from ssl_zoo.config.options import read_options
from ssl_zoo.config.schema import Count, Folder, Seed, section
from ssl_zoo.config.schema.types import Width
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.files.paths import user_path
from ssl_zoo.importers.formats import FORMATS

__all__ = ["ImportConfig", "ImportedBackboneConfig", "read_import"]


@section
class ImportedBackboneConfig:
    """The model that the weights are of."""

    name: str | None = None
    """Name of a timm model. null: found by the shapes of ResNets, plain transformers and EfficientNets."""
    stem: Literal["standard", "small"] | None = None
    """The first layers of a ResNet, as backbone.stem of training. null: standard; a 3x3 convolution is asked about."""
    num_heads: Width | None = None
    """Attention heads of a plain transformer, as backbone.num_heads of training. null: the program's own number."""


@section
class ImportConfig:
    """An import: the checkpoint, its format, and the run directory."""

    file: Folder
    """The checkpoint: .pth, .pth.tar, .pt, .ckpt or .safetensors. `ssl-zoo import FILE` names it too."""
    run_dir: Folder
    """The run directory, new or empty."""
    format: str = "auto"
    """Whose checkpoint it is; docs/guide.md lists the formats. auto: by its keys."""
    backbone: ImportedBackboneConfig = ImportedBackboneConfig()
    size: Count | None = None
    """Side of the images that the encoder gets, in pixels. null: the program's own, 224 for most."""
    seed: Seed = 0
    """Seed of the untrained encoder that weights=random builds, to compare with."""


def read_import(overrides: Sequence[str]) -> tuple[ImportConfig, list[str]]:
    """Reads the options and the overrides of the data, checked without opening the file.

    Raises:
        UserError: an override cannot be read, a key is unknown, a value wrong; there is no such file.
    """
    values, about_data = read_options(overrides)
    if "run" in values:
        if "file" in values:
            raise UserError(
                f"one checkpoint is imported; received '{values['run']}' and file={values['file']}; leave out one"
            )
        values["file"] = values.pop("run")
    config = validate(ImportConfig, values, "")
    if config.format != "auto" and config.format not in FORMATS:
        raise unknown_name("format", config.format, ["auto", *FORMATS])
    if not os.path.isfile(user_path(config.file, "file")):
        raise UserError(
            f"file must be a checkpoint; received '{config.file}', which is {_no_file(config.file)}; name a file"
        )
    return config, about_data


def _no_file(path: str) -> str:
    return "a folder" if os.path.isdir(user_path(path, "file")) else "not there"
