"""From one Pillow image to what an encoder was trained to see: the evaluation view, normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ssl_zoo.augment import normalize
from ssl_zoo.data.decode import to_array
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
        view = plain_view(_converted(image, self.channels), self.size)
        pixels = torch.from_numpy(to_array(view).copy())  # (C, size, size) uint8
        return normalize(pixels[None], self.mean, self.std)[0]


def _converted(image: Image.Image, channels: int) -> Image.Image:
    """As `data.decode.read_image` converts what it reads from a file."""
    if image.mode in ("I", "F"):
        raise UserError(
            f"preprocess takes images of 8 or 16 bits per channel; received mode '{image.mode}'; convert it first"
        )
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):  # Pillow's own conversion clips at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return upright.convert("L" if channels == 1 else "RGB")
