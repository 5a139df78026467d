"""Data sets of Hugging Face as a data source: on disk, in Parquet files or on the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_zoo.config.schema import HuggingFaceConfig
from ssl_zoo.data.cache import decode_all
from ssl_zoo.data.hub import Rows
from ssl_zoo.data.image_table import ImageTable, TableSample, sample_table, spaced
from ssl_zoo.data.kept_check import check_table
from ssl_zoo.data.memory_split import MemorySplit
from ssl_zoo.data.partition import check_test_classes, classes_left, taken
from ssl_zoo.data.split import Data, Split
from ssl_zoo.data.table_columns import NO_LABELS, TableLabels
from ssl_zoo.data.table_split import FIX, TableReader, TableSplit
from ssl_zoo.errors import UserError

__all__ = ["huggingface"]

_SHOWN = 5  # unreadable rows named in a message
_LOOKED_AT = 512  # test images that are looked for among the training images
_MOST = 0.5  # of them; published data sets have some per cent of duplicates


def huggingface(config: HuggingFaceConfig, *, whole: bool = True) -> Data:
    """Returns the images of `data.path`, those of the splits `data.train` and `data.test`.

    Small images of one size are kept in memory, as far as `data.cache_mb` goes; others stay in Arrow files that are
    mapped into memory. Unreadable ones are looked for and treated as those of a folder are; see `imagefolder`. There
    are the classes that the training images have.

    Args:
        config: the data.
        whole: whether `skip` decodes all images; else their headers are checked alone.

    Raises:
        UserError: the data set, a split or a column is not there; the images are others than the run was begun with;
            labels are missing; an image cannot be read and on_error is `raise`; most test images are training images.
    """
    sample = sample_table(asdict(config))
    if sample is None:
        raise UserError(
            "data=huggingface reads the data set data.path, a folder that save_to_disk wrote, .parquet files or "
            "OWNER/NAME on the hub; received none; set for instance data.path=FOLDER"
        )
    assert isinstance(sample, TableSample)
    _check_identity(config, sample)
    known = sample.train.labels
    if known is not None and len(known.names) < 2:
        raise UserError(
            f"labels must be of two classes or more; '{sample.train.label_column}' of data.train={config.train} is "
            f"'{known.names[0]}' everywhere, where any accuracy would be 100 %; set data.label_column={NO_LABELS} to "
            "train without labels"
        )
    cache = config.cache_mb * 2**20
    train, skipped = _read(sample.train, known, config, cache, whole, limited=True)
    classes, emptied = (
        (None, ()) if known is None else classes_left(train, known.names, config.train, "mend the data set")
    )
    test = None
    if sample.test is not None and not config.holdout:
        _check_apart(sample.train, sample.test)
        if isinstance(train, MemorySplit):
            cache -= train.images.nbytes
        test, more = _read(sample.test, _test_labels(sample.test, classes), config, cache, whole)
        skipped += more
    labelled = None if classes is None else train
    return Data(train, labelled, test, classes, config.channels, skipped, emptied=emptied)


def _check_identity(config: HuggingFaceConfig, sample: TableSample) -> None:
    """Refuses other images than those of the configuration, which a resumed run has from its beginning."""
    if config.digest is not None and (config.length, config.digest) != (len(sample.train), sample.digest):
        raise UserError(
            f"the run is of {config.length} images of '{config.path}' with digest {config.digest}; there are now "
            f"{len(sample.train)} with digest {sample.digest}; restore the data set, or begin another run in another "
            "run_dir"
        )


def _read(
    table: ImageTable,
    labels: TableLabels | None,
    config: HuggingFaceConfig,
    cache: float,
    whole: bool,
    limited: bool = False,
) -> tuple[Split, tuple[str, ...]]:
    """Returns the readable images of a table, and the names of the other rows."""
    key, spec = table.rows.key, table.rows.spec
    numbers = None if labels is None else torch.from_numpy(labels.numbers)
    positions = torch.arange(len(table))
    if limited and config.limit is not None and config.on_error == "raise":
        positions = taken(
            len(table), numbers, () if labels is None else labels.names, config.holdout, config.limit
        )
    unreadable: dict[str, str] | None = {} if config.on_error == "skip" else None
    reader = TableReader(
        table.images, torch.from_numpy(table.rows.positions), config.channels, config.bit_depth
    )
    split: Split = TableSplit(reader, numbers, config.workers, unreadable)
    decoded = decode_all(reader, config.workers, cache, positions)
    if decoded is None:
        store = Path(config.root).expanduser() / "checks"
        whole = whole and config.on_error == "skip"
        faults = check_table(reader, config.workers, positions, whole=whole, store=store)
    else:
        split, faults = MemorySplit(decoded[0], numbers), decoded[1]
    if not faults:
        return split, ()
    reasons = {reader.name(position): reason for position, reason in sorted(faults.items())}
    if config.on_error == "raise" or len(faults) == len(positions):
        some = "; ".join(f"{name} ({reason})" for name, reason in list(reasons.items())[:_SHOWN])
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        fix = "name another data.image_column" if len(faults) == len(positions) else FIX
        raise UserError(
            f"'{table.images.column}' in each row of {key}={spec} must be a readable image; {len(faults)} of "
            f"{len(positions)} are not: {some}{more}; {fix}"
        )
    readable = torch.ones(len(table), dtype=torch.bool)
    readable[list(faults)] = False
    return split.select(readable.nonzero().flatten()), tuple(reasons)


def _test_labels(test: ImageTable, classes: tuple[str, ...] | None) -> TableLabels:
    """Returns the labels of test images, as positions among the classes.

    Raises:
        UserError: there are none; one is no class of the training images.
    """
    found = test.labels
    if classes is None or found is None:
        lacking = "data.train" if classes is None else f"data.test={test.rows.spec}"
        raise UserError(
            f"a test set needs labels in data.train and data.test, since it measures accuracy; {lacking} has none; "
            f"its columns are {', '.join(test.rows.features)}; set data.label_column to that of the labels, name "
            "another data.test, or leave data.test out"
        )
    fix = "name other splits, or set data.holdout=0.2 in their place where rows are sorted by class"
    check_test_classes(found.names, classes, f"data.test={test.rows.spec}", fix)
    number = np.array([classes.index(name) for name in found.names])
    return TableLabels(number[found.numbers], classes)


def _check_apart(train: ImageTable, test: ImageTable) -> None:
    """Refuses test rows that are training rows, and others of which more than half hold the same encoded images."""
    same = _shared_rows(train.rows, test.rows)
    if same:
        raise UserError(
            f"test images must be others than those that are trained on; {same} rows of data.test={test.rows.spec} are "
            f"also in data.train={train.rows.spec}; name another data.test, or set data.holdout=0.2 in its place"
        )
    looked_at = list(spaced(len(test), _LOOKED_AT))
    sizes, held = train.lengths, test.lengths[looked_at]
    wanted = {_digest(test, position) for position, size in zip(looked_at, held, strict=True) if size}
    candidates = np.isin(sizes, held[held > 0]).nonzero()[0].tolist() if wanted else []
    same = len(wanted & {_digest(train, position) for position in candidates})
    if same > _MOST * len(looked_at):
        raise UserError(
            f"test images must be others than those that are trained on; {same} of {len(looked_at)} looked at in "
            f"data.test={test.rows.spec} are also in data.train={train.rows.spec}, byte for byte; name another "
            "data.test, or set data.holdout=0.2 in its place"
        )


def _shared_rows(rows: Rows, others: Rows) -> int:
    """Returns how many rows of a data set are among two choices of its rows."""
    by_split = dict(_by_split(others))
    return sum(
        len(np.intersect1d(chosen, by_split[name], assume_unique=True))
        for name, chosen in _by_split(rows)
        if name in by_split
    )


def _by_split(rows: Rows) -> Iterator[tuple[str, Any]]:
    """Yields the name of each split, and which of its rows are chosen, (n,) int64."""
    start, positions = 0, rows.positions
    for part in rows.parts:
        end = start + part.rows
        yield part.name, positions[(start <= positions) & (positions < end)] - start
        start = end


def _digest(table: ImageTable, position: int) -> bytes:
    return hashlib.blake2b(table.content(position)).digest()
