"""Images in shards, tar files as webdataset has them: on disk, elsewhere, or written by a command."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from ssl_zoo.config.schema import WebDatasetConfig
from ssl_zoo.data.cache import check_all, decode_all
from ssl_zoo.data.memory_split import MemorySplit
from ssl_zoo.data.order import Groups
from ssl_zoo.data.partition import check_test_classes, classes_left, taken
from ssl_zoo.data.shards.beside import about
from ssl_zoo.data.shards.index import ShardIndex
from ssl_zoo.data.shards.labels import ShardLabels, labels_in, unnamed
from ssl_zoo.data.shards.patterns import Shards, list_shards
from ssl_zoo.data.shards.split import ShardReader, ShardSplit
from ssl_zoo.data.shards.tables import open_index, spool_of
from ssl_zoo.data.split import Data, Split
from ssl_zoo.errors import UserError
from ssl_zoo.files.json_files import load_json, write_json

__all__ = ["webdataset"]

_SHOWN = 5  # shards or images named in a message


@dataclasses.dataclass(frozen=True)
class Opened:
    """Shards with their index."""

    key: str  # data.train or data.test
    shards: Shards
    index: ShardIndex
    reader: ShardReader


def webdataset(config: WebDatasetConfig, *, whole: bool = True) -> Data:
    """Returns the images of the shards that `data.train` and `data.test` name.

    Shards are indexed by their headers at the first start; the index is kept below `data.root`. Small images of one
    size are kept in memory, as far as `data.cache_mb` goes. With `data.on_error=skip` all images are decoded once, and
    what cannot be read is kept beside the index.

    Args:
        config: the data.
        whole: whether `skip` decodes images.

    Raises:
        UserError: there are no such shards; one cannot be reached; one is damaged or missing and on_error is `raise`;
            the labels are not of all images, or of one class; test shards are training shards.
    """
    assert config.train is not None
    opened = _open("data.train", config.train, config)
    labels = labels_in(opened.index, opened.shards, config.label, "data.train")
    cache = config.cache_mb * 2**20
    train, skipped = _read(opened, labels, config, cache, whole)
    fix = "mend the shards, or set data.label=none to train without labels"
    classes, emptied = (
        (None, ()) if labels is None else classes_left(train, labels.classes, f"'{config.train}'", fix)
    )
    passed_over, digest = opened.index.passed_over, opened.index.digest
    test = None
    if config.test is not None and not config.holdout:
        tested = _open("data.test", config.test, config)
        _check_apart(opened.shards, tested.shards, config)
        test_labels = _same_classes(
            labels_in(tested.index, tested.shards, config.label, "data.test"), classes, config
        )
        if isinstance(train, MemorySplit):
            cache -= train.images.nbytes
        test, more = _read(tested, test_labels, config, cache, whole)
        skipped, passed_over = skipped + more, passed_over + tested.index.passed_over
        digest = hashlib.sha256(f"{digest} {tested.index.digest}".encode()).hexdigest()[:12]
    return Data(
        train,
        None if classes is None else train,
        test,
        classes,
        config.channels,
        skipped,
        tuple(passed_over),
        emptied,
        digest,
    )


def _open(key: str, pattern: str, config: WebDatasetConfig) -> Opened:
    about.cache_clear()  # what lies beside shards may be another by now
    shards = list_shards(key, pattern)
    root = Path(config.root).expanduser() / "shards"
    spool = spool_of(shards, root, config.spool_gb * 2**30)
    if config.on_error == "raise" and shards.missing:
        _refuse(key, shards, {url: reason.lower() for url, reason in shards.missing.items()})
    index = open_index(shards, spool, root, config.label, config.workers)
    if config.on_error == "raise" and index.damaged:
        _refuse(key, shards, index.damaged)
    if len(index) == 0:
        raise UserError(
            f"{key} must hold images; received '{pattern}', {len(shards.found)} shards without any; name others"
        )
    if spool.copies:
        _check_room(index, config)
    reader = ShardReader(
        index, shards.found, spool, None, config.channels, config.bit_depth, config.shuffle_shards
    )
    return Opened(key, shards, index, reader)


def _refuse(key: str, shards: Shards, reasons: dict[str, str]) -> None:
    some = "; ".join(f"'{url}' ({reason})" for url, reason in list(reasons.items())[:_SHOWN])
    if len(reasons) > _SHOWN:
        some += f"; and {len(reasons) - _SHOWN} more"
    raise UserError(
        f"every shard of {key} must be there and whole; {len(reasons)} of {len(shards.found) + len(shards.missing)} in "
        f"'{shards.pattern}' are not: {some}; fetch them anew, or set data.on_error=skip to leave out what cannot be "
        "read"
    )


def _check_room(index: ShardIndex, config: WebDatasetConfig) -> None:
    """Refuses copies of shards that do not have room for those that are shuffled together and those that come next."""
    count = min(2 * config.shuffle_shards + 1, len(index.lengths))
    needed = sum(sorted(index.lengths)[-count:]) / 2**30
    if needed > config.spool_gb:
        raise UserError(
            f"data.spool_gb must hold the {count} largest shards, those that are shuffled together and those to come: "
            f"{needed:.3g}; received {config.spool_gb:g}; raise it, or lower data.shuffle_shards, which is "
            f"{config.shuffle_shards}"
        )


def _read(
    opened: Opened, labels: ShardLabels | None, config: WebDatasetConfig, cache: float, whole: bool
) -> tuple[Split, tuple[str, ...]]:
    """Returns the readable images, and the names of shards and images that were left out."""
    index, reader = opened.index, opened.reader
    numbers = None if labels is None else labels.numbers
    positions = torch.arange(len(index))
    if opened.key == "data.train" and config.limit is not None and config.on_error == "raise":
        classes = () if labels is None else labels.classes
        positions = taken(len(index), numbers, classes, config.holdout, config.limit)
    groups = Groups(torch.from_numpy(index.ends), config.shuffle_shards)
    unreadable: dict[str, str] | None = {} if config.on_error == "skip" else None
    split: Split = ShardSplit(reader, numbers, config.workers, unreadable, groups)
    decoded = decode_all(reader, config.workers, cache, positions)
    faults: dict[int, str] = {}
    if decoded is not None:
        split, faults = MemorySplit(decoded[0], numbers, index.names, groups), decoded[1]
    elif whole and config.on_error == "skip":
        faults = _checked(reader, config, positions)
    reasons = {reader.name(position): reason for position, reason in sorted(faults.items())}
    if faults and (config.on_error == "raise" or len(faults) == len(positions)):
        some = "; ".join(f"'{name}' ({reason})" for name, reason in list(reasons.items())[:_SHOWN])
        raise UserError(
            f"every image in {opened.key} must be readable; {len(faults)} of {len(positions)} in "
            f"'{opened.shards.pattern}' are not: {some}; mend the shards"
            + ("" if len(faults) == len(positions) else ", or set data.on_error=skip")
        )
    if faults:
        readable = np.ones(len(index), bool)
        readable[list(faults)] = False
        split = split.select(torch.from_numpy(readable.nonzero()[0]))
    return split, (*opened.shards.missing, *index.damaged, *reasons)


def _checked(reader: ShardReader, config: WebDatasetConfig, positions: Tensor) -> dict[int, str]:
    """Returns the images that cannot be decoded.

    They are kept beside the index, and they alone are decoded at the next start: a disk may have failed for a moment.
    """
    name = f"unreadable-{config.channels}-{config.bit_depth}-Pillow-{PIL.__version__}.json"
    file = reader.index.folder / name
    try:
        kept = torch.tensor([int(position) for position in load_json(file)], dtype=torch.int64)
    except (OSError, ValueError, TypeError):
        faults = check_all(reader, config.workers, positions, whole=True)
        write_json(file, {str(position): reason for position, reason in faults.items()})
        return faults
    return check_all(reader, config.workers, kept, whole=True)


def _same_classes(
    labels: ShardLabels | None, classes: tuple[str, ...] | None, config: WebDatasetConfig
) -> ShardLabels | None:
    """Returns the labels of test images, numbered as those of the training images."""
    if labels is None or classes is None:
        without = "data.train" if classes is None else "data.test"
        raise UserError(
            f"a test set needs labels in data.train and data.test, since it measures accuracy; {without} has none; see "
            f"data.label, or leave data.test out (received '{config.test}')"
        )
    if {*labels.classes} - {*classes} and unnamed(classes) != unnamed(labels.classes):
        without = "data.train" if unnamed(classes) else "data.test"
        raise UserError(
            f"data.test must have the classes of data.train; received '{classes[0]}' in data.train='{config.train}' "
            f"and '{labels.classes[0]}' in data.test='{config.test}': the classes of {without} are numbers, whose "
            f"names stand in an index.json beside shards; copy it beside those of {without}, or, where they come by "
            "pipe:, read both by pipe:"
        )
    check_test_classes(labels.classes, classes, f"'{config.test}'", "leave its images out")
    number = torch.tensor([classes.index(name) for name in labels.classes])
    return dataclasses.replace(labels, numbers=number[labels.numbers], classes=classes)


def _check_apart(train: Shards, test: Shards, config: WebDatasetConfig) -> None:
    """Refuses test shards that are training shards: accuracy on training images means nothing."""
    trained_on = {shard.place for shard in train.found}
    same = [shard.url for shard in test.found if shard.place in trained_on]
    if same:
        raise UserError(
            f"test images must be others than those that are trained on; '{same[0]}' is in data.train='{config.train}' "
            f"and in data.test='{config.test}'; name another data.test, or set data.holdout=0.2 in its place"
        )
