"""Preprocessing of an image for an encoder: the evaluation view, normalised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssl_zoo.augment import normalize
from ssl_zoo.data.decode import to_array
from ssl_zoo.data.item import image_of_item
from ssl_zoo.data.split import plain_view
from ssl_zoo.errors import UserError

__all__ = ["Preprocess"]


@dataclass(frozen=True)
class Preprocess:
    """Image -> float32 (C, size, size): `data.split.plain_view`, then `(x - mean) / std` of x in [0, 1].

    It can be pickled, and so be a dataset's transform in worker processes.
    """

    size: int  # pixels
    channels: int  # 1: the image becomes gray (ITU-R 601 luma); 3: RGB; others must be the image's own
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]
    bit_depth: int = 8  # bits per value that are kept of the image
    interpolation: str = "bilinear"  # or bicubic

    def __call__(self, image: Any) -> Tensor:
        """Prepares one image of any size and mode, upright by its EXIF orientation.

        Args:
            image: of Pillow; or an array or a tensor (H, W), (H, W, C) or (C, H, W) of uint8, uint16 or floats in
                [0, 1].

        Raises:
            UserError: it is none of these, has 32 bits per channel or other channels.
        """
        try:
            whole = image_of_item(image, self.channels, self.bit_depth)
            view = plain_view(whole, self.size, self.interpolation)
        except ValueError as error:
            raise UserError(f"preprocess takes images as they were trained on: {error}") from error
        pixels = torch.from_numpy(to_array(view).copy())  # (C, size, size) uint8 or uint16
        return normalize(pixels[None], self.mean, self.std)[0]
