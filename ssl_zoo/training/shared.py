"""Shared by the runs of one process: images loaded once, and figures that the training doesn't bear on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import nn

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import Data, MemorySplit, load_data

__all__ = ["Shared", "fingerprint"]

T = TypeVar("T")


class Shared:
    """Images and figures of this process's earlier runs, for the next one that needs the same.

    A suite's worker makes one and passes it to all its runs. It keeps the images of the last `data` block, where all
    are in memory, and the figures measured on them: on CIFAR-10 they take longer than a short training. Nothing is
    written to disk, so no figure outlives the code that measured it; folders of images must stay as they are
    meanwhile.
    """

    def __init__(self) -> None:
        self._loaded: tuple[DataConfig, Data] | None = None
        self._figures: dict[tuple[str, ...], object] = {}

    def data(self, config: DataConfig) -> Data:
        """Returns the images that the config names, loaded now or before.

        Raises:
            UserError: as `load_data`.
        """
        if self._loaded is not None and self._loaded[0] == config:
            return self._loaded[1]
        self._loaded, self._figures = None, {}
        data = load_data(config)
        if all(
            split is None or isinstance(split, MemorySplit)
            for split in (data.train, data.labelled, data.test)
        ):
            self._loaded = config, data
        return data

    def once(self, key: tuple[str, ...], compute: Callable[[], T]) -> T:
        """Returns what `compute` returns, or has returned for this key on these images.

        Args:
            key: all that the figure depends on beside the images.
            compute: makes it; called each time where the images are not kept.
        """
        if self._loaded is None:
            return compute()
        if key not in self._figures:
            self._figures[key] = compute()
        return cast("T", self._figures[key])


def fingerprint(module: nn.Module) -> str:
    """Returns a digest of a module's layers and of every bit of its weights."""
    digest = hashlib.sha256(str(module).encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()
