"""A resumed run resizes its images as it did from the beginning, whatever new runs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training.test_given_dataset import TINY

import ssl_zoo
from ssl_zoo.data import reader_split
from ssl_zoo.run_dir.checkpoints import LAST, STAMP, read_checkpoint

pytestmark = pytest.mark.slow


def test_a_run_that_was_begun_with_pillows_crops_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    for number, crop in reader_split.RESIZINGS.items():

        def noted(*given: Any, number: int = number, crop: Any = crop) -> torch.Tensor:
            used.append(number)
            result: torch.Tensor = crop(*given)
            return result

        monkeypatch.setitem(reader_split.RESIZINGS, number, noted)

    def train(epochs: int) -> set[int]:
        used.clear()
        ssl_zoo.train([*run, f"epochs={epochs}"], silent=True)
        return set(used)

    for number in range(16):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 44, 3), np.uint8)
        (tmp_path / "images" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / "ab"[number % 2] / f"{number}.jpg")
    images = ["data=imagefolder", f"data.train={tmp_path / 'images'}", "data.cache_mb=0", "data.workers=0"]
    run = [*TINY[1:], "method=simsiam", *images, f"run_dir={tmp_path / 'run'}", "resume=auto"]
    assert train(1) == {2}
    assert train(2) == {2}
    path = tmp_path / "run" / "checkpoints" / LAST
    checkpoint = read_checkpoint(path)
    assert checkpoint[STAMP].pop("resizing") == 2  # as versions without it saved it
    torch.save(checkpoint, path)
    assert 1 in train(3)  # measurements resize as they always do now
    assert read_checkpoint(path)[STAMP]["resizing"] == 1
    assert 1 in train(4)
