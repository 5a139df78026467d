"""Batches of images with their objects, decoded in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.decode import Unreadable, read_image, to_array
from ssl_zoo.data.rng import permutation, stream
from ssl_zoo.data.workers import FileWork, run_tasks
from ssl_zoo.evaluation.detection.images import Annotated, Collection
from ssl_zoo.evaluation.detection.masks import decode

__all__ = ["Sample", "draws", "test_samples", "training_batches"]

Drawn = tuple[int, int]  # the number of the draw, and which image


class Sample(NamedTuple):
    """An image with its n objects."""

    image: NDArray[np.uint8]  # (3, H, W)
    boxes: NDArray[np.float32]  # (n, 4): left, top, right, bottom in pixels
    labels: NDArray[np.int64]  # (n,)
    masks: NDArray[np.uint8] | None  # (n, H, W)


def draws(count: int, seed: int) -> Iterator[Drawn]:
    """Yields images for ever: all in a random order, then all in another one."""
    number, epoch = 0, 0
    while True:
        for position in permutation(count, seed, "detect", epoch).tolist():
            yield number, position
            number += 1
        epoch += 1


def training_batches(
    collection: Collection, iterations: int, batch_size: int, seed: int, workers: int
) -> Iterator[list[Sample]]:
    """Yields `iterations` lists of `batch_size` samples; each is flipped horizontally with probability 1/2.

    A function of its arguments alone, however many processes decode.

    Raises:
        UserError: an image is unreadable or of another size than its annotation says.
    """
    drawn = draws(len(collection.images), seed)
    tasks = (list(islice(drawn, batch_size)) for _ in range(iterations))
    return run_tasks(_Reading(collection.images, seed), tasks, workers)


def test_samples(collection: Collection, workers: int) -> Iterator[Sample]:
    """Yields the images in their order, as they are; errors as of `training_batches`."""
    tasks = ([(position, position)] for position in range(len(collection.images)))
    for samples in run_tasks(_Reading(collection.images, None), tasks, workers):
        yield from samples


test_samples.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


class _Reading(FileWork[list[Drawn], list[Sample]]):
    """Draws -> samples. NumPy arrays, not tensors: each tensor from another process holds a file open."""

    def __init__(self, images: tuple[Annotated, ...], seed: int | None) -> None:
        super().__init__(Path(), [image.path for image in images])
        self._images, self._seed = images, seed

    def do(self, task: list[Drawn]) -> list[Sample]:
        return [self._sample(number, position) for number, position in task]

    def _sample(self, number: int, position: int) -> Sample:
        annotated = self._images[position]
        pixels = to_array(read_image(self.path(position), channels=3))
        height, width = annotated.height, annotated.width
        if pixels.shape[1:] != (height, width):
            size = f"{pixels.shape[2]} x {pixels.shape[1]}"
            raise Unreadable(
                annotated.path, ValueError(f"it is {size} and its annotation says {width} x {height}")
            )
        boxes, labels = annotated.boxes, annotated.labels
        masks = None if annotated.shapes is None else decode(annotated.shapes, height, width)
        if self._seed is not None and stream(self._seed, "detflip", number).random() < 0.5:
            pixels = pixels[:, :, ::-1]
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
            masks = None if masks is None else np.ascontiguousarray(masks[:, :, ::-1])
        return Sample(np.ascontiguousarray(pixels), boxes, labels, masks)
