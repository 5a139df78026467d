"""The images of a report: a random part of the training images, the same for every encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ssl_zoo.augment import Augment
from ssl_zoo.config.options import PIXELS, data_for
from ssl_zoo.config.overrides import read_override
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import Split, load_data
from ssl_zoo.data.sampling import random_subset
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["Images", "data_of", "load_images", "views_of"]


@dataclass(frozen=True)
class Images:
    """Some of the images of a data set.

    Attributes:
        split: N of them, in the data's order.
        labels: (N,) int64, or None.
        classes: names by label, or None.
        total: how many the data set has.
        name: name of the data set.
    """

    split: Split
    labels: Tensor | None
    classes: tuple[str, ...] | None
    total: int
    name: str

    def __len__(self) -> int:
        return len(self.split)

    @property
    def in_words(self) -> str:
        """The sample in words: `2000 of the 50000 training images of cifar10, drawn at random`."""
        if len(self) == self.total:
            return f"all {self.total} training images of {self.name}"
        return f"{len(self)} of the {self.total} training images of {self.name}, drawn at random"

    def pixels(self, positions: Sequence[int], size: int) -> Tensor:
        """Returns the evaluation view of some images, uint8 (n, C, size, size)."""
        return torch.cat(list(self.split.select(list(positions)).plain_batches(size, 256)))


def data_of(overrides: Sequence[str], run: SavedRun, first: SavedRun) -> DataConfig:
    """Returns the data that the overrides name, else the first run's, in the channels, mean and std of `run`'s.

    Raises:
        UserError: as `options.data_for`.
    """
    config = data_for(overrides, first.config)
    if run is first:
        return config
    keys_set = {read_override(override)[0] for override in overrides}
    if keys_set & {f"data.{key}" for key in PIXELS}:
        return config
    return replace(config, **{key: getattr(run.config.data, key) for key in PIXELS})


def load_images(config: DataConfig, samples: int, seed: int) -> Images:
    """Draws at most `samples` of the training images; where some have labels, of those.

    Test images are not looked for. Of a folder only the headers are read here, whatever its images' size.

    Raises:
        UserError: the images are not there, too few, or cannot be read.
    """
    if SOURCES.get(config.source).reads_train:
        config = replace(config, cache_mb=0.0, test=None)
    try:
        data = load_data(config)
    except UserError as error:
        folder = config.train if SOURCES.get(config.source).folders else None
        if folder is None or Path(folder).expanduser().is_dir():
            raise
        raise UserError(
            f"the report shows images of the run's data; '{folder}' is no longer there; set their folder with "
            "data.train=FOLDER, or name other data with data="
        ) from error
    split = data.train if data.labelled is None else data.labelled
    if len(split) < 2:
        raise UserError(
            f"a report needs two images or more; received {len(split)} in data '{config.name}'; add some"
        )
    part = random_subset(split, samples, seed)
    labelled = data.classes is not None and part.labels is not None
    return Images(
        split=part,
        labels=part.labels if labelled else None,
        classes=data.classes if labelled else None,
        total=len(split),
        name=config.name,
    )


def views_of(
    images: Images, positions: Sequence[int], run: SavedRun, data: DataConfig, seed: int
) -> list[Tensor]:
    """Returns training's views of some images, one tensor (n, C, size, size) per view, pixels in [0, 1]."""
    chosen, config = images.split.select(list(positions)), run.config
    batch, order = next(iter(chosen.train_loader(len(positions), config.views, seed)))
    augment = Augment(config.views, data.mean, data.std)
    augmented = augment(
        batch if isinstance(batch, Tensor) else list(batch), torch.Generator().manual_seed(seed)
    )  # (n, C, size, size) each
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.mean, data.std))
    return [(view * std + mean).clamp(0, 1)[order.argsort()] for view in augmented]
