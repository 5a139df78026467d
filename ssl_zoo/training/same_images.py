"""A check that all processes of a training have the same images, as machines with disks of their own may not."""

from __future__ import annotations

import hashlib

import pytorch_lightning as pl

from ssl_zoo.data import Data
from ssl_zoo.data.names import Names
from ssl_zoo.distributed import from_all, world_size
from ssl_zoo.errors import UserError

__all__ = ["CheckImages"]


class CheckImages(pl.Callback):
    """Refuses a training whose processes have different training images, before its first step.

    The order of an epoch is a function of their number: with others, images would come twice, and processes that have
    a batch more would wait for ever.

    Args:
        data: what this process trains on.
        named: the override that names the images, for messages.
    """

    def __init__(self, data: Data, named: str) -> None:
        self._data, self._named = data, named

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if world_size() == 1:
            return
        everywhere = from_all((len(self._data.train), _digest(self._data)))
        first = everywhere[0]
        for rank, images in enumerate(everywhere):
            if images != first:
                how_many = f"{images[0]}" if images[0] != first[0] else f"other {images[0]}"
                raise UserError(
                    f"all processes train on the same images; received {first[0]} of {self._named} in rank 0 and "
                    f"{how_many} in rank {rank}; put the same files on each machine"
                )


def _digest(data: Data) -> str:
    """Returns a digest of the labels and, where they are known, of the names or contents."""
    sha = hashlib.sha256(str(data.digest).encode())
    if data.train.labels is not None:
        sha.update(data.train.labels.numpy().tobytes())
    if isinstance(data.train.names, Names):
        sha.update(data.train.names.text.tobytes())
    return sha.hexdigest()
