"""Test images that are training images: refused, whatever the folder is called.

Accuracy on training images means nothing: raw pixels reach 100 % there.
"""

from __future__ import annotations

import filecmp
import hashlib
import math
import os
from collections import defaultdict

from ssl_zoo.data.scan import Listing
from ssl_zoo.errors import UserError
from ssl_zoo.terminal.counting import counting

__all__ = ["check_apart"]

_LOOKED_AT = 512  # test images
_ENDS = 4096  # bytes at either end of a file that are compared before all of them are
_BLOCK = 4096  # training images after which they are counted
# Published data sets have some per cent of duplicates: that is theirs. Most of a test set is a mistake.
_MOST = 0.5


def check_apart(train: Listing, test: Listing, train_folder: str, test_folder: str) -> None:
    """Refuses test images of which more than half are training images, byte for byte.

    The same folder by another path is seen at once; for others up to 512 test images, evenly spaced, are compared with
    the training images of the same size in bytes.

    Raises:
        UserError: with the count.
    """
    rule = "test images must be others than those that are trained on"
    fix = "name another data.test, or set data.holdout=0.2 in its place"
    if os.path.samefile(train.root, test.root):
        raise UserError(
            f"{rule}; data.train='{train_folder}' and data.test='{test_folder}' are one folder; {fix}"
        )
    looked_at = test.images[:: math.ceil(len(test.images) / _LOOKED_AT)]
    same = _same_files(train, [os.path.join(test.root, name) for name in looked_at])
    if same > _MOST * len(looked_at):
        some = "" if len(looked_at) == len(test.images) else f" looked at, of {len(test.images)}"
        raise UserError(
            f"{rule}; {same} of {len(looked_at)} images{some} in data.test='{test_folder}' are also in "
            f"data.train='{train_folder}', byte for byte; {fix}"
        )


def _same_files(train: Listing, files: list[str]) -> int:
    """Counts the files that are equal to a training image."""
    sizes = {size for file in files if (size := _size(file)) is not None}
    known = defaultdict(list)  # digest of the ends -> training images
    root = os.fspath(train.root)
    with counting("compared {:,} of " + f"{len(train.images):,} training images with test images") as count:
        for number, name in enumerate(train.images, 1):
            path = os.path.join(root, name)
            if _size(path) in sizes and (digest := _digest(path)) is not None:
                known[digest].append(path)
            if number % _BLOCK == 0:
                count(_BLOCK)
    return sum(_is_among(file, known.get(_digest(file) or b"", [])) for file in files)


def _is_among(file: str, candidates: list[str]) -> bool:
    try:
        return any(filecmp.cmp(file, candidate, shallow=False) for candidate in candidates)
    except OSError:
        return False


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _digest(path: str) -> bytes | None:
    """Returns the digest of size and both ends; None if it cannot be read, as the check of all files reports."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            ends = file.read(_ENDS)
            file.seek(max(0, size - _ENDS))
            return hashlib.sha256(f"{size} ".encode() + ends + file.read()).digest()
    except OSError:
        return None
