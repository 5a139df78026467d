"""Views of training images that are the same at each measurement, whatever the training draws."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Split
from ssl_zoo.data.sampling import random_subset
from ssl_zoo.data.train_loader import move_images
from ssl_zoo.features import BATCH

__all__ = ["FixedViews"]

FEW = 32  # images by which the residual energy is estimated after each epoch


class FixedViews:
    """Two views each of `monitor.samples` training images, and one view each of a few.

    Args:
        config: of the run.
        train: its training images.
        device: where the views are computed.
    """

    def __init__(self, config: RunConfig, train: Split, device: torch.device) -> None:
        self.train, self.device = train, device
        self.images = random_subset(train, config.monitor.samples, seed=0)
        self._views = (config.augment.flat * 2)[:2]  # of a method that makes one view: two draws of it
        self._pixels = config.data.mean, config.data.std
        self._loader = self.images.train_loader(min(BATCH, len(self.images)), self._views, seed=0)
        self._augment = Augment(self._views, *self._pixels).to(device)

    def pairs(self) -> Iterator[list[Tensor]]:
        """Yields both views (n, C, H, W) of the images, batch by batch."""
        generator = torch.Generator(self.device).manual_seed(0)
        self._loader.set_position(epoch=0)
        for images, _ in self._loader:
            yield self._augment(move_images(images, self.device), generator)

    @cached_property
    def few(self) -> Tensor:
        """A view (n, C, H, W) of each of a few images."""
        images = random_subset(self.train, FEW, seed=0)
        loader = images.train_loader(len(images), self._views[:1], seed=0)
        augment = Augment(self._views[:1], *self._pixels).to(self.device)
        pixels, _ = next(iter(loader))
        generator = torch.Generator(self.device).manual_seed(0)
        view: Tensor = augment(move_images(pixels, self.device), generator)[0]
        return view
