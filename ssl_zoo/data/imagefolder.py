"""Folders of images: class folders, or images without labels."""

from __future__ import annotations

from pathlib import Path

import PIL
import torch
from torch import Tensor

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data.cache import check_all, decode_all
from ssl_zoo.data.file_split import FileSplit
from ssl_zoo.data.kept_scan import checking_once, digest_of, keep_scan, scan
from ssl_zoo.data.memory_split import MemorySplit
from ssl_zoo.data.names import Names
from ssl_zoo.data.overlap import check_apart
from ssl_zoo.data.partition import check_test_classes, taken
from ssl_zoo.data.reader import FileReader
from ssl_zoo.data.scan import Listing
from ssl_zoo.data.split import Data, Split
from ssl_zoo.errors import UserError

__all__ = ["imagefolder"]

_SHOWN = 5  # faulty files named in a message
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def imagefolder(config: DataConfig, *, whole: bool = True) -> Data:
    """Returns the images of `data.train` and `data.test`, a class per sub-folder, or none without sub-folders.

    Small images of one size are kept in memory, as far as `data.cache_mb` (2**20 bytes) goes; others stay files, of
    which only the headers are checked here. With `data.on_error=skip` they are decoded once, so that what cannot be
    read is left out from the beginning, and with it a class of which nothing is left. With a holdout `data.test` is not
    looked at. With a limit only the images that `load_data` will take are read; the others' pixels are zero.

    Args:
        config: the data.
        whole: whether `skip` decodes files; else their headers are checked alone.

    Raises:
        UserError: a folder or its layout is wrong; a file cannot be read and on_error is `raise`; most test images are
            training images.
    """
    assert config.train is not None
    scans = Path(config.root).expanduser() / "scans"
    listing = scan("data.train", config.train, scans)
    _check_classes(listing.classes, config.train)
    cache = config.cache_mb * 2**20
    train, skipped = _read("data.train", config.train, listing, listing.classes, config, cache, whole)
    classes = _present(train, listing.classes, config)
    passed_over = listing.passed_over.below(str(listing.root))
    test = None
    if config.test is not None and not config.holdout:
        listed = scan("data.test", config.test, scans)
        _check_same_classes(listed, config.test, classes)
        apart = f"apart from {digest_of(listed)}"
        if apart not in listing.checks:
            check_apart(listing, listed, config.train, config.test)
            listing.checks[apart] = ()
            keep_scan(listing, scans)
        if isinstance(train, MemorySplit):
            cache -= train.images.nbytes
        test, more = _read("data.test", config.test, listed, classes, config, cache, whole)
        skipped += more
        passed_over += listed.passed_over.below(str(listed.root))
    labelled = None if classes is None else train
    emptied = tuple(name for name in listing.classes or () if name not in (classes or ()))
    return Data(
        train, labelled, test, classes, config.channels, skipped, Names.of_bytes(passed_over), emptied
    )


def _present(train: Split, classes: tuple[str, ...] | None, config: DataConfig) -> tuple[str, ...] | None:
    """Returns the classes that hold images; the labels are numbered anew where one is left out.

    Raises:
        UserError: one holds none, and on_error is `raise`; fewer than two are left.
    """
    if classes is None or train.labels is None:
        return None
    sizes = torch.bincount(train.labels, minlength=len(classes))  # (C,)
    empty = [name for name, size in zip(classes, sizes.tolist(), strict=True) if size == 0]
    left = tuple(name for name in classes if name not in empty)
    if empty and (config.on_error == "raise" or len(left) < 2):
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        fix = ", or set data.on_error=skip to leave the class out" if len(left) > 1 else ""
        raise UserError(
            f"each class folder of data.train must hold images; '{empty[0]}'{more} in '{config.train}' holds none that "
            f"can be read; add some, or move the folder elsewhere{fix}"
        )
    train.labels = (sizes > 0).cumsum(0)[train.labels] - 1
    return left


def _check_classes(classes: tuple[str, ...] | None, folder: str) -> None:
    """Refuses sub-folders that would be taken for classes and mean something else."""
    if classes is None:
        return
    if {name.lower() for name in classes} <= _SPLITS:
        raise UserError(
            f"the sub-folders of data.train are its classes; received '{folder}' with {', '.join(classes)}, "
            f"which look like splits; set data.train={folder}/{classes[0]} (and data.test likewise)"
        )
    if len(classes) == 1:
        raise UserError(
            f"the sub-folders of data.train are its classes, of which there must be two or more; received "
            f"'{folder}' with '{classes[0]}' only, where any accuracy would be 100 %; to train without "
            f"labels set data.train={folder}/{classes[0]}"
        )


def _check_same_classes(listed: Listing, folder: str, classes: tuple[str, ...] | None) -> None:
    if listed.classes is None or classes is None:
        flat = "data.train" if classes is None else "data.test"
        raise UserError(
            f"a test set needs class folders in data.train and data.test, since it measures accuracy; {flat} "
            f"has none; sort its images into folders named by class, or leave data.test out (received '{folder}')"
        )
    check_test_classes(listed.classes, classes, f"'{folder}'", "rename or remove it")


def _read(
    key: str,
    folder: str,
    listing: Listing,
    classes: tuple[str, ...] | None,
    config: DataConfig,
    cache: float,
    whole: bool,
) -> tuple[Split, tuple[str, ...]]:
    """Returns the readable images of a folder, and the paths of what else is in it."""
    root, names = listing.root, listing.images
    labels = None
    if classes is not None:
        assert listing.classes is not None
        number = {name: index for index, name in enumerate(classes)}
        present = [name for name, size in zip(listing.classes, listing.sizes, strict=True) if size]
        labels = torch.tensor([number[name] for name in present]).repeat_interleave(
            torch.tensor([size for size in listing.sizes if size])
        )  # (N,)
    positions = torch.arange(len(names))
    if key == "data.train" and config.limit is not None and config.on_error == "raise":
        positions = taken(len(names), labels, classes or (), config.holdout, config.limit)
    unreadable: dict[str, str] | None = {} if config.on_error == "skip" else None
    files = FileSplit(root, names, labels, config.channels, config.workers, unreadable, config.bit_depth)
    decoded = decode_all(files.reader, config.workers, cache, positions)
    split: Split = files
    if decoded is None:
        faults = _checked(listing, files.reader, config, positions, whole=whole and config.on_error == "skip")
    else:
        split, faults = MemorySplit(decoded[0], labels, names), decoded[1]
    reasons = dict(listing.faulty)
    reasons |= {names[position]: reason for position, reason in sorted(faults.items())}
    if not reasons:
        return split, ()
    some = "; ".join(f"'{name}' ({reason})" for name, reason in list(reasons.items())[:_SHOWN])
    if len(reasons) > _SHOWN:
        some += f"; and {len(reasons) - _SHOWN} more"
    if config.on_error == "raise" or len(faults) == len(positions):
        fix = (
            "move them elsewhere"
            if len(faults) == len(positions)
            else "move them elsewhere or set data.on_error=skip"
        )
        raise UserError(
            f"every file below {key} must be a readable image; {len(reasons)} of {len(names) + len(listing.faulty)} "
            f"in '{folder}' are not: {some}; {fix}"
        )
    if faults:
        readable = torch.ones(len(names), dtype=torch.bool)
        readable[list(faults)] = False
        split = split.select(readable.nonzero().flatten())
    return split, tuple(str(root / name) for name in reasons)


def _checked(
    listing: Listing, reader: FileReader, config: DataConfig, positions: Tensor, *, whole: bool
) -> dict[int, str]:
    """Returns the images at `positions`, (n,), that cannot be read; see `check_all`.

    What has been checked of a kept scan is not checked again, but for what failed. A check of all images is kept.
    """
    workers = config.workers
    check = f"channels={reader.channels} bit_depth={reader.bit_depth} whole={whole} Pillow={PIL.__version__}"
    failed = listing.checks.get(check)
    if failed is None:
        if len(positions) < len(reader):
            return check_all(reader, workers, positions, whole=whole)
        scans = Path(config.root).expanduser() / "scans"
        with checking_once(listing, scans) as known:
            if (failed := known.checks.get(check)) is None:
                faults = check_all(reader, workers, positions, whole=whole)
                known.checks[check] = tuple(sorted(faults))
                keep_scan(known, scans)
                listing.checks.update(known.checks)
                return faults
            listing.checks.update(known.checks)
    failing = torch.tensor(failed, dtype=torch.int64)
    return check_all(reader, workers, failing[torch.isin(failing, positions)], whole=whole)
