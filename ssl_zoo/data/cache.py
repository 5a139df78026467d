"""Decoding all of many small images into memory, and checking a folder that is too large for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_zoo.data.bands import DTYPES
from ssl_zoo.data.decode import Unreadable, quiet, to_array
from ssl_zoo.data.reader import ImageReader
from ssl_zoo.data.split import SMALL_SIDE
from ssl_zoo.data.workers import Work, run_tasks
from ssl_zoo.terminal.counting import counting

__all__ = ["check_all", "decode_all"]

_CHUNK = 512  # images per task
_FEW = 2048  # images that are read sooner than a process has started

Faults = dict[int, str]  # position -> why it is unreadable


def decode_all(
    reader: ImageReader, workers: int, most: float, positions: Tensor
) -> tuple[Tensor, Faults] | None:
    """Decodes images, if they are small, of one size and at most `most` bytes together.

    Args:
        reader: reads N images.
        workers: processes; 0 decodes in this one.
        most: bytes of the decoded images.
        positions: (n,) int64, of the images that are decoded.

    Returns:
        (N, C, H, W), uint8 or uint16, zero where an image is unreadable or not decoded; and the unreadable ones. Or
        None.
    """
    if most <= 0:  # not even the first is read
        return None
    shape, dtype = _first_shape(reader), np.dtype(DTYPES[reader.bit_depth])
    if shape is None or min(shape[1:]) > SMALL_SIDE or len(positions) * shape.numel() * dtype.itemsize > most:
        return None
    # Pages of zeros that are never written take no memory.
    images = np.zeros((len(reader), *shape), dtype)  # (N, C, H, W)
    faults: Faults = {}
    chunks = torch.split(positions, _CHUNK)
    prepared = reader.prepared(chunks)
    parts = run_tasks(_DecodeWork(reader, shape), prepared, _processes(positions, workers))
    with counting("decoded {:,} of " + f"{len(positions):,} images") as count:
        for chunk, part in zip(chunks, parts, strict=True):
            if part is None:
                return None
            decoded, unreadable = part
            images[chunk.numpy()] = decoded.numpy()
            faults.update(unreadable)
            count(len(chunk))
    return torch.from_numpy(images), faults


def check_all(reader: ImageReader, workers: int, positions: Tensor, *, whole: bool) -> Faults:
    """Returns the images that cannot be read, judged by their headers or as a `whole`; see `check_image`.

    Of those at `positions`, (n,) int64.
    """
    faults: Faults = {}
    chunks = torch.split(positions, _CHUNK)
    tasks = reader.prepared(chunks)
    parts = run_tasks(_CheckWork(reader, whole), tasks, _processes(positions, workers))
    with counting("checked {:,} of " + f"{len(positions):,} images") as count:
        for chunk, part in zip(chunks, parts, strict=True):
            faults.update(part)
            count(len(chunk))
    return faults


def _processes(positions: Tensor, workers: int) -> int:
    return workers if len(positions) > _FEW else 0


def _first_shape(reader: ImageReader) -> torch.Size | None:
    """Returns the (C, H, W) of the first readable image."""
    for position in range(len(reader)):
        try:
            with quiet():
                image = reader.read(position)
        except Unreadable:
            continue
        return torch.Size((reader.channels, image.height, image.width))
    return None


class _DecodeWork(Work[Tensor, "tuple[Tensor, Faults] | None"]):
    """Positions (n,) -> (n, C, H, W) and the unreadable ones; None if an image has another size."""

    def __init__(self, reader: ImageReader, shape: torch.Size) -> None:
        self._reader, self._shape = reader, shape

    def do(self, task: Tensor) -> tuple[Tensor, Faults] | None:
        images: NDArray[Any] = np.zeros((len(task), *self._shape), DTYPES[self._reader.bit_depth])
        faults: Faults = {}
        for row, position in enumerate(task.tolist()):
            try:
                image = to_array(self._reader.read(position))  # (C, H, W)
            except Unreadable as error:
                faults[position] = error.reason
                continue
            if image.shape != tuple(self._shape):
                return None
            images[row] = image
        return torch.from_numpy(images), faults


class _CheckWork(Work[Tensor, Faults]):
    """Positions (n,) -> the unreadable ones."""

    def __init__(self, reader: ImageReader, whole: bool) -> None:
        self._reader, self._whole = reader, whole

    def do(self, task: Tensor) -> Faults:
        faults: Faults = {}
        for position in task.tolist():
            try:
                self._reader.check(position, whole=self._whole)
            except Unreadable as error:
                faults[position] = error.reason
        return faults
