"""Encoders of other images than 8-bit gray or RGB: what they are given outside is what they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.exports import blocks, make

import ssl_zoo
from ssl_zoo.augment import normalize
from ssl_zoo.data import FileSplit
from ssl_zoo.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "dtype"), [(5, np.uint8), (4, np.uint16), (1, np.uint16)])
def test_preprocessing_and_the_cards_code_are_the_evaluation_view(
    tmp_path: Path, channels: int, dtype: Any
) -> None:
    images = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, channels, 30, 22), dtype)
    for number, image in enumerate(images):
        np.save(tmp_path / f"{number}.npy", image)
    run = make(tmp_path / "run", "data=imagefolder", f"data.train={tmp_path}", "backbone.name=test_resnet")
    ssl_zoo.export([f"run={run}", "format=timm"], silent=True)
    model, preprocess = ssl_zoo.load_backbone(run)
    exported, again = ssl_zoo.load_backbone(run / "export" / "timm")
    assert again == preprocess
    assert preprocess.channels == channels
    names = tuple(f"{number}.npy" for number in range(3))
    split = FileSplit(tmp_path, names, None, channels, 0, bit_depth=8 * np.dtype(dtype).itemsize)
    [plain] = split.plain_batches(preprocess.size, 3)
    wanted = normalize(plain, preprocess.mean, preprocess.std)
    code = next(block for block in blocks(run / "export" / "timm") if "def preprocess" in block)
    card: dict[str, Any] = {}
    exec(code, card)
    for image, expected in zip(images, wanted, strict=True):
        assert torch.equal(preprocess(image), expected)
        assert torch.equal(preprocess(torch.from_numpy(image.transpose(1, 2, 0).copy())), expected)
        assert np.allclose(card["preprocess"](image), expected.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match=rf"not uint\d+ \({channels}, H, W\)"):
        card["preprocess"](images[0].astype(np.float32))
    with torch.inference_mode():
        assert torch.equal(model(wanted), exported(wanted))


@pytest.mark.slow
def test_other_channels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.random.default_rng(0).integers(0, 255, (5, 20, 20), np.uint8))
    run = make(tmp_path / "run", "data=imagefolder", f"data.train={tmp_path}", "backbone.name=test_resnet")
    _, preprocess = ssl_zoo.load_backbone(run)
    with pytest.raises(UserError, match=r"it has 3 channels, and data.channels=5"):
        preprocess(np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(UserError, match=r"format=detectron2 .*data.channels=5"):
        ssl_zoo.export([f"run={run}", "format=detectron2"], silent=True)
