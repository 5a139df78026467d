"""Images of one size, in memory as one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data.names import Names
from ssl_zoo.data.order import Groups
from ssl_zoo.data.split import Split, plain_view
from ssl_zoo.data.train_loader import Batch, TrainLoader
from ssl_zoo.errors import UserError

__all__ = ["MemorySplit", "to_channels"]


class MemorySplit(Split):
    """Images of one size, in memory.

    Args:
        images: (N, C, H, W), uint8 or uint16.
        labels: (N,) int64, or None.
        names: N paths relative to the folder, or None.
        groups: files of many images each that the images were read from, which decide the order of an epoch: that it
            be the one of the images in their files. None where each has its own.
    """

    names: Names | None

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        names: Iterable[str] | None = None,
        groups: Groups | None = None,
    ) -> None:
        assert images.dtype in (torch.uint8, torch.uint16)
        assert images.ndim == 4
        assert labels is None or labels.shape == images.shape[:1]
        self.images, self.labels, self.groups = images.contiguous(), labels, groups
        self.names = None if names is None else Names.of(names)
        assert self.names is None or len(self.names) == len(images)
        self.channels = images.shape[1]

    def __len__(self) -> int:
        return len(self.images)

    def select(self, indices: Tensor | Sequence[int]) -> MemorySplit:
        index = torch.as_tensor(indices, dtype=torch.int64)
        labels = None if self.labels is None else self.labels[index]
        names = None if self.names is None else self.names.take(index.numpy())
        groups = None if self.groups is None else self.groups.select(index)
        return MemorySplit(_rows(self.images, index), labels, names, groups).resized(self.interpolation)

    def plain_batches(self, size: int, batch_size: int) -> Iterator[Tensor]:
        for images in torch.split(self.images, batch_size):  # (n, C, H, W)
            yield plain_view(images, size, self.interpolation)

    def train_loader(
        self, batch_size: int, views: Sequence[ViewConfig], seed: int, part: tuple[int, int] = (0, 1)
    ) -> TrainLoader:
        return _MemoryLoader(self.images, batch_size, seed, part, self.groups)


class _MemoryLoader(TrainLoader):
    def __init__(
        self, images: Tensor, batch_size: int, seed: int, part: tuple[int, int], groups: Groups | None
    ) -> None:
        super().__init__(len(images), batch_size, seed, part, groups)
        self._images = images  # (N, C, H, W)

    def _fetch(self, epoch: int, batches: Iterable[Tensor]) -> Iterator[Batch]:
        batches = tuple(batches)
        if not batches:
            return
        # Not before the first batch: Lightning assigns a GPU to this process late.
        if self.device.type != self._images.device.type and _fits(self._images, self.device):
            self._images = self._images.to(self.device)
        order = torch.cat(batches).to(self._images.device)  # one copy an epoch
        pins = self.device.type == "cuda" and not self._images.is_cuda
        order = order.pin_memory() if pins else order
        for index in torch.split(order, len(batches[0])):
            images = _rows(self._images, index)
            yield Batch(images.pin_memory() if pins else images, index)


def _rows(images: Tensor, index: Tensor) -> Tensor:
    """Returns some of the images; those of 16 bits as signed integers, which every device can select."""
    if images.dtype == torch.uint16:
        return images.view(torch.int16).index_select(0, index).view(torch.uint16)
    return images.index_select(0, index)


def _fits(images: Tensor, device: torch.device) -> bool:
    return device.type == "cuda" and 4 * images.nbytes <= torch.cuda.mem_get_info()[0]  # of what is free


def to_channels(images: Tensor, channels: int) -> Tensor:
    """Returns uint8 (N, channels, H, W) from (N, 1 or 3, H, W): gray is repeated, colour becomes luma.

    The luma is that of Pillow's mode L (ITU-R 601 in 16-bit fixed point), to the last bit.

    Raises:
        UserError: another number of channels.
    """
    if images.shape[1] == channels:
        return images
    if channels not in (1, 3):
        raise UserError(
            f"data.channels must be 1 or 3 of images that come in gray or in colour; received {channels}; leave it out"
        )
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    gray = torch.empty_like(images[:, :1])
    for out, part in zip(
        torch.split(gray, 4096), torch.split(images, 4096), strict=True
    ):  # int32 takes four times the space
        red, green, blue = part.to(torch.int32).unbind(1)  # (n, H, W) each
        out[:, 0] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return gray
