"""Decoding a whole folder of small images into memory, and checking one that is too large for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.data.decode import Unreadable, check_image, quiet, read_image, to_array
from ssl_zoo.data.split import SMALL_SIDE
from ssl_zoo.data.workers import FileWork, run_tasks

__all__ = ["check_all", "decode_all"]

_CHUNK = 512  # files per task
_FEW = 2048  # files that are read sooner than a process has started

Faults = dict[int, str]  # position -> why it is unreadable


def decode_all(
    root: Path, names: Sequence[str], channels: int, workers: int, most: float, positions: Tensor
) -> tuple[Tensor, Faults] | None:
    """Decodes images, if they are small, of one size and at most `most` bytes together.

    Args:
        root: the folder.
        names: N paths relative to it.
        channels: 1 or 3.
        workers: processes; 0 decodes in this one.
        most: bytes of the decoded images.
        positions: (n,) int64, of the images that are decoded.

    Returns:
        uint8 (N, C, H, W), zero where an image is unreadable or not decoded, and the unreadable ones; or None.
    """
    shape = _first_shape(root, names, channels)
    if shape is None or min(shape[1:]) > SMALL_SIDE or len(positions) * shape.numel() > most:
        return None
    # Pages of zeros that are never written take no memory.
    images = torch.zeros((len(names), *shape), dtype=torch.uint8)  # (N, C, H, W)
    faults: Faults = {}
    chunks = torch.split(positions, _CHUNK)
    tasks = run_tasks(_DecodeWork(root, names, channels, shape), chunks, _processes(positions, workers))
    for chunk, part in zip(chunks, tasks, strict=True):
        if part is None:
            return None
        images[chunk], unreadable = part
        faults.update(unreadable)
    return images, faults


def check_all(root: Path, names: Sequence[str], workers: int, positions: Tensor, *, whole: bool) -> Faults:
    """Returns the files that cannot be read, judged by their headers or as a `whole`; see `check_image`.

    Of the files at `positions`, (n,) int64.
    """
    faults: Faults = {}
    chunks = torch.split(positions, _CHUNK)
    for part in run_tasks(_CheckWork(root, names, whole), chunks, _processes(positions, workers)):
        faults.update(part)
    return faults


def _processes(positions: Tensor, workers: int) -> int:
    return workers if len(positions) > _FEW else 0


def _first_shape(root: Path, names: Sequence[str], channels: int) -> torch.Size | None:
    """Returns the (C, H, W) of the first readable image."""
    for name in names:
        try:
            with quiet():
                image = read_image(str(root / name), channels)
        except Unreadable:
            continue
        return torch.Size((channels, image.height, image.width))
    return None


class _DecodeWork(FileWork[Tensor, "tuple[Tensor, Faults] | None"]):
    """Positions (n,) -> uint8 (n, C, H, W) and the unreadable ones; None if an image has another size."""

    def __init__(self, root: Path, names: Sequence[str], channels: int, shape: torch.Size) -> None:
        super().__init__(root, names)
        self._channels, self._shape = channels, shape

    def do(self, task: Tensor) -> tuple[Tensor, Faults] | None:
        images = np.zeros((len(task), *self._shape), np.uint8)
        faults: Faults = {}
        for row, position in enumerate(task.tolist()):
            try:
                image = to_array(read_image(self.path(position), self._channels))  # (C, H, W)
            except Unreadable as error:
                faults[position] = error.reason
                continue
            if image.shape != tuple(self._shape):
                return None
            images[row] = image
        return torch.from_numpy(images), faults


class _CheckWork(FileWork[Tensor, Faults]):
    """Positions (n,) -> the unreadable ones."""

    def __init__(self, root: Path, names: Sequence[str], whole: bool) -> None:
        super().__init__(root, names)
        self._whole = whole

    def do(self, task: Tensor) -> Faults:
        faults: Faults = {}
        for position in task.tolist():
            try:
                check_image(self.path(position), whole=self._whole)
            except Unreadable as error:
                faults[position] = error.reason
        return faults
