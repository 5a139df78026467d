"""Folders of images: class folders, or images without labels."""

from __future__ import annotations

import torch

from ssl_zoo.data.cache import check_all, decode_all
from ssl_zoo.data.dataset import Data
from ssl_zoo.data.files import FileSplit
from ssl_zoo.data.memory import MemorySplit
from ssl_zoo.data.scan import Listing, scan_folder
from ssl_zoo.data.split import Split
from ssl_zoo.errors import UserError, suggest
from ssl_zoo.schema import DataConfig

__all__ = ["imagefolder"]

_SHOWN = 5  # faulty files named in a message
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def imagefolder(config: DataConfig) -> Data:
    """Returns the images of `data.train` and `data.test`, a class per sub-folder, or none without sub-folders.

    Small images of one size are kept in memory, as far as `data.cache_mb` (2**20 bytes) goes; others stay
    files, of which only the headers are checked here. With a holdout `data.test` is not looked at.

    Raises:
        UserError: a folder or its layout is wrong; a file cannot be read and on_error is `raise`.
    """
    assert config.train is not None
    listing = scan_folder("data.train", config.train)
    _check_classes(listing, config.train)
    cache = config.cache_mb * 2**20
    train, skipped = _read("data.train", config.train, listing, listing.classes, config, cache)
    if listing.classes is not None and train.labels is not None:
        sizes = torch.bincount(train.labels, minlength=len(listing.classes)).tolist()
        for name, size in zip(listing.classes, sizes, strict=True):
            if size == 0:
                raise UserError(
                    f"each class folder of data.train must hold images; '{name}' in '{config.train}' holds none "
                    f"that can be read; add some, or move the folder elsewhere"
                )
    test = None
    if config.test is not None and not config.holdout:
        listed = scan_folder("data.test", config.test)
        _check_same_classes(listed, config.test, listing.classes)
        if isinstance(train, MemorySplit):
            cache -= train.images.numel()
        test, more = _read("data.test", config.test, listed, listing.classes, config, cache)
        skipped += more
    bank = None if listing.classes is None else train
    return Data(train, bank, test, listing.classes, config.channels, skipped)


def _check_classes(listing: Listing, folder: str) -> None:
    """Refuses sub-folders that would be taken for classes and mean something else."""
    if listing.classes is None:
        return
    if {name.lower() for name in listing.classes} <= _SPLITS:
        raise UserError(
            f"the sub-folders of data.train are its classes; received '{folder}' with {', '.join(listing.classes)}, "
            f"which look like splits; set data.train={folder}/{listing.classes[0]} (and data.test likewise)"
        )
    if len(listing.classes) == 1:
        raise UserError(
            f"the sub-folders of data.train are its classes, of which there must be two or more; received "
            f"'{folder}' with '{listing.classes[0]}' only, where any accuracy would be 100 %; to train without "
            f"labels set data.train={folder}/{listing.classes[0]}"
        )


def _check_same_classes(listed: Listing, folder: str, classes: tuple[str, ...] | None) -> None:
    if listed.classes is None or classes is None:
        flat = "data.train" if classes is None else "data.test"
        raise UserError(
            f"a test set needs class folders in data.train and data.test, since it measures accuracy; {flat} "
            f"has none; sort its images into folders named by class, or leave data.test out (received '{folder}')"
        )
    unknown = [name for name in listed.classes if name not in classes]
    if unknown:
        some = ", ".join(classes[:_SHOWN]) + (" ..." if len(classes) > _SHOWN else "")
        raise UserError(
            f"data.test must have the classes of data.train ({some}); received '{folder}' with '{unknown[0]}'"
            f"{f' and {len(unknown) - 1} more unknown ones' if len(unknown) > 1 else ''}; rename or remove it"
            f"{suggest(unknown[0], classes)}"
        )


def _read(
    key: str, folder: str, listing: Listing, classes: tuple[str, ...] | None, config: DataConfig, cache: float
) -> tuple[Split, tuple[str, ...]]:
    """Returns the readable images of a folder, and the paths of what else is in it."""
    root, names = listing.root, listing.images
    labels = None
    if classes is not None:
        number = {name: index for index, name in enumerate(classes)}
        labels = torch.tensor([number[name.partition("/")[0]] for name in names])  # (N,)
    decoded = decode_all(root, names, config.channels, config.workers, cache)
    split: Split
    if decoded is None:
        split = FileSplit(root, names, labels, config.channels, config.workers)
        faults = check_all(root, names, config.workers)
    else:
        split, faults = MemorySplit(decoded[0], labels, names), decoded[1]
    reasons = dict.fromkeys(listing.others, "not an image by its suffix")
    reasons |= {names[position]: reason for position, reason in sorted(faults.items())}
    if not reasons:
        return split, ()
    some = "; ".join(f"'{name}' ({reason})" for name, reason in list(reasons.items())[:_SHOWN])
    if len(reasons) > _SHOWN:
        some += f"; and {len(reasons) - _SHOWN} more"
    if config.on_error == "raise" or len(faults) == len(names):
        fix = (
            "move them elsewhere"
            if len(faults) == len(names)
            else "move them elsewhere or set data.on_error=skip"
        )
        raise UserError(
            f"every file below {key} must be a readable image; {len(reasons)} of {len(names) + len(listing.others)} "
            f"in '{folder}' are not: {some}; {fix}"
        )
    if faults:
        split = split.select([position for position in range(len(names)) if position not in faults])
    return split, tuple(str(root / name) for name in reasons)
