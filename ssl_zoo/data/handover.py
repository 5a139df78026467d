"""Shared memory in which a worker process hands its results over, used again and again.

By default torch copies each result into new shared memory, all of whose pages the kernel has to clear: for two views of
224 pixels 0.4 ms an image, as long as cropping them takes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

__all__ = ["PREFETCH", "InShared", "ResultMemory", "own"]

PREFETCH = 2  # results of a process that are computed or wait, besides the one that is copied


class InShared(NamedTuple):
    """A result whose memory will be used again."""

    result: Any


class ResultMemory:
    """Memory for results: in a worker process, shared memory for as many results as may be on their way at a time.

    Elsewhere new memory for each.
    """

    def __init__(self) -> None:
        self._slots: list[list[torch.UntypedStorage]] = [[] for _ in range(PREFETCH + 1)]
        self._slot = self._taken = 0

    def begin(self) -> None:
        """Begins the next result."""
        self._slot, self._taken = (self._slot + 1) % len(self._slots), 0

    def images(self, count: int, channels: int, size: int, dtype: torch.dtype) -> Tensor:
        """Returns memory for images of this result, (count, channels, size, size), with any values.

        Where there are three channels they are adjacent in memory, as decoders and resizing have them.
        """
        shape = (count, size, size, channels) if channels == 3 else (count, channels, size, size)
        images = torch.empty(shape, dtype=dtype) if get_worker_info() is None else self._shared(shape, dtype)
        return images.permute(0, 3, 1, 2) if channels == 3 else images

    def finish(self, result: Any) -> Any:
        """Returns a result, marked where its memory will be used again."""
        return InShared(result) if self._taken else result

    def _shared(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        slot, size = self._slots[self._slot], math.prod(shape) * dtype.itemsize
        if len(slot) == self._taken or slot[self._taken].nbytes() < size:
            shared = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
            slot[self._taken :] = [shared]
        storage = slot[self._taken]
        self._taken += 1
        strides = torch.empty(shape, device="meta").stride()
        return torch.empty(0, dtype=dtype).set_(storage, 0, shape, strides)


def own(value: Any) -> Any:
    """Returns what `ResultMemory.finish` returned, in memory of its own."""
    return _copied(value.result) if isinstance(value, InShared) else value


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple):
        parts = [_copied(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
