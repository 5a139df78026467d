"""Small folders of images, made by the tests."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_zoo.config.schema import DataConfig


def _noise(
    path: Any, size: tuple[int, ...] = (12, 12), seed: int = 0, mode: str = "RGB", **options: Any
) -> Any:
    """Writes an image of random pixels; size is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def noise() -> Any:
    return _noise


@pytest.fixture
def tree(tmp_path: Path) -> Any:
    """A folder of class folders; `tree(name, cat=3, dog=2)` writes 3 and 2 images of 12x12 pixels, by name."""

    def make(
        name: str = "train", suffix: str = ".png", size: tuple[int, ...] = (12, 12), **counts: Any
    ) -> Path:
        first = 0 if name == "train" else 10_000 + zlib.crc32(name.encode())
        for label, (kind, count) in enumerate(counts.items()):
            for number in range(count):
                _noise(
                    tmp_path / name / kind / f"{number:02d}{suffix}", size, seed=first + 100 * label + number
                )
        return tmp_path / name

    return make


@pytest.fixture
def folder_config() -> Any:
    """A DataConfig for image folders."""

    def make(train: Any = None, test: Any = None, channels: int = 3, **keys: Any) -> DataConfig:
        return DataConfig(
            name="folder",
            source="imagefolder",
            train=None if train is None else str(train),
            test=None if test is None else str(test),
            channels=channels,
            mean=(0.5,) * channels,
            std=(0.5,) * channels,
            **keys,
        )

    return make
