"""Preprocessing of a Pillow image for an encoder: the evaluation view, normalised."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ssl_zoo.augment import normalize
from ssl_zoo.data.decode import to_array, upright
from ssl_zoo.data.split import plain_view
from ssl_zoo.errors import UserError

__all__ = ["Preprocess"]


@dataclass(frozen=True)
class Preprocess:
    """Pillow image -> float32 (C, size, size): `data.split.plain_view`, then `(x - mean) / std` of x in [0, 1].

    It can be pickled, and so be a dataset's transform in worker processes.
    """

    size: int  # pixels
    channels: int  # 1: the image becomes gray (ITU-R 601 luma); 3: RGB
    mean: tuple[float, ...]  # per channel, of pixels in [0, 1]
    std: tuple[float, ...]

    def __call__(self, image: Image.Image) -> Tensor:
        """Prepares one image of any size and mode, upright by its EXIF orientation.

        Raises:
            UserError: it is no Pillow image, or has 32 bits per channel.
        """
        if not isinstance(image, Image.Image):
            raise UserError(
                f"preprocess takes a Pillow image; received {type(image).__name__}; open the file with PIL.Image.open"
            )
        try:
            view = plain_view(upright(image, self.channels), self.size)
        except ValueError as error:
            raise UserError(
                f"preprocess takes images of 8 or 16 bits per channel; received mode '{image.mode}': {error}"
            ) from error
        pixels = torch.from_numpy(to_array(view).copy())  # (C, size, size) uint8
        return normalize(pixels[None], self.mean, self.std)[0]
