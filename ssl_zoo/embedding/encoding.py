"""The features of images batch by batch, from any image on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_zoo.data import skipping
from ssl_zoo.embedding.images import ImageList
from ssl_zoo.errors import UserError
from ssl_zoo.features import extract
from ssl_zoo.hardware.device import Hardware

__all__ = ["EncodedBatch", "EncodingSettings", "encode_images"]


class EncodingSettings(NamedTuple):
    """Settings by which features are computed."""

    size: int  # pixels
    mean: Sequence[float]  # C values, of pixels in [0, 1]
    std: Sequence[float]
    batch_size: int
    normalize: bool  # to unit length
    dtype: str  # float32 or float16


class EncodedBatch(NamedTuple):
    """The next images."""

    features: NDArray[Any]  # (n, F) float32 or float16, of those that were readable
    images: int  # how many there were, n and those left out
    left_out: dict[int, str]  # number of the image -> why it is unreadable


def encode_images(
    encoder: nn.Module, images: ImageList, done: int, settings: EncodingSettings, hardware: Hardware
) -> Generator[EncodedBatch, None, None]:
    """Yields the features of all images but the first `done`.

    Batches are those that all images together would be cut into, so `done` must be where one ends: what is computed
    then doesn't depend on where it began.

    Raises:
        UserError: an image cannot be read, or a feature is too large for float16.
    """
    for first, piece in images.after(done):
        split = skipping(piece)
        number = first
        size, mean, std, batch = settings.size, settings.mean, settings.std, settings.batch_size
        for features in extract(encoder, split, size, mean, std, hardware, batch):  # (n, F)
            faults = split.faults
            keep = [row for row in range(len(features)) if row not in faults]
            converted = _converted(features[keep] if faults else features, settings)
            yield EncodedBatch(
                converted, len(features), {number + row: reason for row, reason in faults.items()}
            )
            number += len(features)


def _converted(features: Tensor, settings: EncodingSettings) -> NDArray[Any]:
    if settings.normalize:
        features = torch.nn.functional.normalize(features, dim=1)
    numbers: NDArray[Any] = features.cpu().numpy()  # (n, F)
    if settings.dtype == "float32":
        return numbers
    most = np.abs(numbers).max(initial=0, where=np.isfinite(numbers))
    if most > np.finfo(np.float16).max:
        raise UserError(
            f"dtype=float16 holds numbers up to 65504; a feature is {most:g}; use dtype=float32 or normalize=true"
        )
    return numbers.astype(np.float16)
