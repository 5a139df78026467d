"""The evaluation view is resized as the data says, by every kind of split and by what is selected of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data, skipping
from ssl_zoo.data.bands import Bands, image_of, planes_of
from ssl_zoo.data.sampling import random_subset
from ssl_zoo.data.split import plain_view
from ssl_zoo.errors import UserError

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.mark.parametrize("interpolation", RESAMPLING)
@pytest.mark.parametrize(
    "side", [20, 112]
)  # kept in memory; read from files, and resized to 256/224 of the view
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_the_view_is_resized_as_asked(interpolation: str, side: int, on_error: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    overrides = ["data=imagefolder", f"data.train={tmp_path}", "data.holdout=0.5", "data.workers=0"]
    data = load_data(
        compose([*overrides, f"data.interpolation={interpolation}", f"data.on_error={on_error}"]).data
    )
    assert data.test is not None
    for split in (data.train, data.test):
        part = random_subset(split, 1, seed=0)
        assert part.names is not None
        whole = Image.fromarray(pixels[int(part.names[0][0])])
        (batch,) = skipping(part).plain_batches(49, 8)  # uint8 (1, 3, 49, 49)
        if side == 20:
            wanted = whole.resize((49, 49), RESAMPLING[interpolation])
        else:
            wanted = whole.resize((56, 56), RESAMPLING[interpolation]).crop((4, 4, 53, 53))
        expected = torch.from_numpy(np.asarray(wanted).transpose(2, 0, 1).copy())
        assert (
            batch[0].int() - expected.int()
        ).abs().max() <= 1  # torch's kernels round otherwise than Pillow's


def test_each_channel_of_many_is_resized_as_asked() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (5, 24, 24), dtype=np.uint8)
    for interpolation in RESAMPLING:
        view: object = plain_view(image_of(planes, 5, 8), 13, interpolation)
        assert isinstance(view, Bands)
        expected = plain_view(torch.from_numpy(planes), 13, interpolation)
        assert isinstance(expected, torch.Tensor)
        assert np.abs(planes_of(view).astype(int) - expected.numpy().astype(int)).max() <= 1


def test_bicubic_is_of_8_bits() -> None:
    with pytest.raises(
        UserError, match=r"bicubic is of images of 8 bits; received data\.bit_depth=16; leave "
    ):
        compose(["data=digits", "data.interpolation=bicubic", "data.bit_depth=16"])
