"""The typed configuration of shards that are written; `data.*` is read as in training."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.config.options import read_options
from ssl_zoo.config.schema import Count, Folder, Positive, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError

__all__ = ["ShardsConfig", "read_shards"]


@section
class ShardsConfig:
    """Settings of shards that are written; `data.train` names the folder of images."""

    out: Folder
    """Folder of the shards."""
    shard_mb: Positive = 256.0
    """Size of a shard in MiB: it ends before it would be exceeded, but holds an image at least."""
    images_per_shard: Count | None = None
    """Images in a shard, at most. null: by size alone."""
    shuffle: bool = True
    """Whether images are put into shards in a random order, always the same; else in that of their names, where a shard
    of a class folder holds hardly more than one class."""
    progress: bool = True
    """Whether progress is printed, on a terminal."""


def read_shards(overrides: Sequence[str]) -> tuple[ShardsConfig, list[str]]:
    """Reads the options and the overrides of the data.

    Raises:
        UserError: an override cannot be read, a key is unknown, a value wrong, or no folder is named.
    """
    values, about_data = read_options(overrides)
    if "run" in values:
        raise UserError(
            f"shards are written from a folder of images; received '{values['run']}'; set data.train=FOLDER"
        )
    options = validate(ShardsConfig, values, "")
    keys = {override.partition("=")[0]: override for override in about_data}
    if "data.train" not in keys:
        raise UserError(
            "shards are written from images in files; received no data.train"
            + (f", and {keys['data']}" if "data" in keys else "")
            + "; set data.train=FOLDER"
            + (", and leave data= out" if "data" in keys else "")
        )
    for key in ("data.test", "data.holdout"):
        if key in keys:
            raise UserError(
                f"shards are written of the images of data.train; received {keys[key]}; leave it out: test images get "
                "shards of their own by data.train=TESTFOLDER, and data.holdout is split off in training"
            )
    return options, about_data
