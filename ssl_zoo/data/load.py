"""Loads the data that a configuration names: its source, then the holdout, then the limit."""

from __future__ import annotations

from dataclasses import replace

from ssl_zoo.config.registries import SOURCES, Source
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data.partition import partition
from ssl_zoo.data.split import Data
from ssl_zoo.errors import UserError

__all__ = ["load_data"]


def load_data(config: DataConfig, *, whole: bool = True) -> Data:
    """Loads the images that the config names; CIFAR and STL-10 are downloaded where they are missing.

    `data.holdout` is split off first and becomes the test set instead of the real one; `data.limit` then
    takes a part of the rest.

    Args:
        config: the data.
        whole: whether files are decoded where unreadable ones are skipped; see `imagefolder`.

    Raises:
        UserError: there is no such source; a key that it doesn't read is set, or one that it needs is not; a folder, a
            file, the holdout or the limit is wrong; a download failed. Nothing has been created then.
    """
    source = SOURCES.get(config.source)
    _check_read(config, source)
    data: Data = source.load()(config, whole=whole) if source.reads_train else source.load()(config)
    data = _take(data, config)
    for split in (data.train, data.labelled, data.test):
        if split is not None:
            split.resized(config.interpolation)
    return data


def _take(data: Data, config: DataConfig) -> Data:
    """Splits the holdout off, and takes the part of the training images that the limit leaves."""
    if not config.holdout and config.limit is None:
        return data
    first = data.train if data.labelled is None else data.labelled  # the first part of train, or all of it
    parts = partition(
        len(data.train),
        None if data.labelled is None else data.labelled.labels,
        data.classes or (),
        config.holdout,
        config.limit,
    )
    train = data.train.select(parts.train)
    labelled = data.labelled
    if labelled is not None:
        labelled = train if labelled is data.train else labelled.select(parts.labelled)
    test = data.test if parts.held is None else first.select(parts.held)
    return replace(data, train=train, labelled=labelled, test=test)


def _check_read(config: DataConfig, source: Source) -> None:
    if source.reads_train:
        if config.train is None:
            what = source.train_is
            named = what.lower() if source.shards else f"a {what.lower()}"
            raise UserError(
                f"data.source={config.source} needs {named} of training images; data.train is not set; set "
                f"data.train={what}"
            )
        return
    for key, value in (("data.train", config.train), ("data.test", config.test)):
        if value is not None:
            raise UserError(
                f"{key} is read with data.source=imagefolder only; received '{value}' with "
                f"data.source={config.source}; leave it out, or set data.source=imagefolder"
            )
