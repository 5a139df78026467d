"""Folders of any number of channels and of 16 bits, in memory and as files; their statistics and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_zoo.config.added_keys import without_added
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import from_yaml, to_mapping, to_yaml
from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data import FileSplit, MemorySplit, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.image_defaults import describe_images

# From Python 3.12 on; the worker processes start no threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def arrays(tmp_path: Path) -> Any:
    """Writes class folders of arrays; returns the folder and the values (N, C, H, W), in the order of the files."""

    def write(shape: tuple[int, ...], dtype: Any = np.uint16, count: int = 6, suffix: str = ".npy") -> Any:
        random, planes = np.random.default_rng(0), []
        for number in range(count):
            folder = tmp_path / "train" / f"class{2 * number // count}"
            folder.mkdir(parents=True, exist_ok=True)
            image = random.integers(0, np.iinfo(dtype).max // 8, shape, dtype)
            planes.append(image)
            if suffix == ".npy":
                np.save(folder / f"{number}.npy", image)
            else:
                Image.fromarray(image[0]).save(folder / f"{number}{suffix}")
        return tmp_path / "train", np.stack(planes)

    return write


def _compose(folder: Path, *more: str) -> Any:
    return compose(["data=imagefolder", f"data.train={folder}", "backbone.name=test_resnet", *more])


def _values(split: Any, size: int) -> Any:
    return np.concatenate([batch.numpy() for batch in split.plain_batches(size, 4)])


@pytest.mark.parametrize(
    ("shape", "dtype", "suffix"),
    [
        ((4, 20, 20), np.uint8, ".npy"),
        ((12, 20, 20), np.uint16, ".npy"),
        ((1, 20, 20), np.uint16, ".tif"),
        ((1, 20, 20), np.uint16, ".png"),
        ((3, 20, 20), np.uint16, ".npy"),
    ],
)
@pytest.mark.parametrize("cache_mb", [64, 0])
def test_a_folder_is_read_to_the_bit(
    arrays: Any, shape: tuple[int, ...], dtype: Any, suffix: str, cache_mb: int
) -> None:
    folder, planes = arrays(shape, dtype, suffix=suffix)
    config = _compose(folder, f"data.cache_mb={cache_mb}.0", "data.workers=0")
    depth = 8 * np.dtype(dtype).itemsize
    assert (config.data.channels, config.data.bit_depth) == (shape[0], depth)
    data = load_data(config.data)
    assert isinstance(data.train, MemorySplit if cache_mb else FileSplit)
    assert np.array_equal(_values(data.train, 20), planes)
    assert _values(data.train, 20).dtype == dtype
    part = data.train.select([4, 1])
    assert np.array_equal(_values(part, 20), planes[[4, 1]])


def test_mean_and_std_are_those_of_the_images(arrays: Any) -> None:
    folder, planes = arrays((5, 24, 20))
    data = _compose(folder).data
    values = planes / 65535
    assert np.allclose(data.mean, values.mean((0, 2, 3)), rtol=1e-5)
    assert np.allclose(data.std, values.std((0, 2, 3)), rtol=1e-5)
    given = _compose(folder, "data.mean=[0.1,0.2,0.3,0.4,0.5]").data
    assert given.mean == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert given.std == data.std
    assert from_yaml(to_yaml(_compose(folder))) == _compose(folder)


def test_a_channel_that_is_constant_becomes_zero(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 65535, (4, 9, 9), np.uint16)
    image[2] = 700
    np.save(tmp_path / "a.npy", image)
    data = _compose(tmp_path).data
    assert data.std[2] == 1.0
    assert data.mean[2] == pytest.approx(700 / 65535, rel=1e-5)


def test_crops_are_those_of_each_channel_alone(arrays: Any, tmp_path: Path) -> None:
    """A channel of 8 bits is what Pillow makes of a gray file; one of 16 bits agrees with that of float32."""
    folder, planes = arrays((4, 30, 26), np.uint8)
    names = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.npy")))
    views = [ViewConfig(size=12), ViewConfig(size=8)]
    [batch] = FileSplit(folder, names, None, 4, 0).train_loader(6, views, seed=1)
    [deep] = FileSplit(folder, names, None, 4, 0, bit_depth=16).train_loader(6, views, seed=1)
    gray = tmp_path / "gray"
    for channel in range(4):
        for name, image in zip(names, planes, strict=True):
            (gray / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[channel]).save((gray / name).with_suffix(".png"))
        pngs = tuple(name.replace(".npy", ".png") for name in names)
        gray_loader = FileSplit(gray, pngs, None, 1, 0).train_loader(6, views, seed=1)
        gray_loader.resizing = 1  # by Pillow
        [alone] = gray_loader
        for view in range(2):
            assert torch.equal(batch.images[view][:, channel], alone.images[view][:, 0])
            difference = deep.images[view][:, channel].float() / 257 - alone.images[view][:, 0].float()
            assert difference.abs().max() < 1.01  # Pillow rounds 8 bits after each axis


def test_the_evaluation_view_of_16_bits_is_rounded_once(arrays: Any) -> None:
    folder, planes = arrays((5, 24, 20))
    files = load_data(_compose(folder, "data.cache_mb=0.0", "data.workers=0").data).train
    memory = load_data(_compose(folder).data).train
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(planes.astype(np.float64)), (12, 10), mode="bilinear", antialias=True
    )[:, :, 1:11]
    for split in (files, memory):
        assert np.abs(_values(split, 10) - wanted.numpy()).max() < 0.51


def test_colours_are_left_out_of_any_settings_but_an_override(arrays: Any) -> None:
    folder, _ = arrays((5, 24, 20))
    for more in ((), ("method=byol",), ("method=swav", "recipe=small"), ("experiment=imagenet/simsiam",)):
        config = _compose(folder, *more)
        assert all(view.needs_colours == () for view in config.views)
        assert config.augment.jitter.brightness > 0
    assert describe_images(_compose(folder)) == (
        "images are 20 x 24, of 5 channels and 16 bits: augment.size=20, backbone.stem=small, blur off, hue, "
        "saturation and grayscale off"
    )
    with pytest.raises(
        UserError,
        match=r"^augment.grayscale compute with red, green and blue, .*=5 .*; set augment.grayscale=0$",
    ):
        _compose(folder, "augment.grayscale=0.1")
    with pytest.raises(UserError, match=r"augment.autoaugment compute .*; set augment.autoaugment=none"):
        _compose(folder, "augment.autoaugment=imagenet")
    with pytest.raises(
        UserError, match=r"augment.views.two.jitter.hue .*; set augment.views.two.jitter.hue=0"
    ):
        _compose(folder, "augment.views={one: {}, two: {jitter: {hue: 0.1}}}")


def test_a_number_of_channels_is_checked_file_by_file(arrays: Any) -> None:
    folder, _ = arrays((5, 24, 20))
    assert _compose(folder, "data.channels=auto") == _compose(folder)
    for cache in ("64.0", "0.0"):
        with pytest.raises(UserError, match=r"class0/0.npy' \(it has 5 channels, and data.channels=4\)"):
            load_data(_compose(folder, "data.channels=4", f"data.cache_mb={cache}").data)
    np.save(folder / "class1" / "odd.npy", np.zeros((6, 24, 20), np.uint16))
    with pytest.raises(
        UserError, match=r"1 of 7 .* are not: 'class1/odd.npy' \(it has 6 channels, and data.c"
    ):
        load_data(_compose(folder).data)


def test_upper_bytes_are_read_where_8_bits_are_asked_for(arrays: Any) -> None:
    folder, planes = arrays((1, 20, 20), suffix=".png")
    config = _compose(folder, "data.bit_depth=8", "data.channels=3").data
    assert np.array_equal(_values(load_data(config).train, 20), (planes >> 8).repeat(3, axis=1))
    assert config.mean == (0.485, 0.456, 0.406)


def test_operations_of_8_bits_are_refused_for_16(arrays: Any) -> None:
    folder, _ = arrays((3, 20, 20))
    with pytest.raises(
        UserError, match=r"^augment.autoaugment computes with 8 bits, and data.bit_depth=16; set "
    ):
        _compose(folder, "augment.autoaugment=imagenet")
    assert _compose(folder, "augment.autoaugment=imagenet", "data.bit_depth=8").augment.grayscale > 0


def test_photos_stay_as_they_were(tmp_path: Path) -> None:
    """Gray files stay colour, arrays beside photos are none, one deep file among photos changes nothing."""
    random = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(random.integers(0, 256, (9, 9), np.uint8)).save(tmp_path / f"{number}.png")
    np.save(tmp_path / "features.npy", np.zeros((5, 8)))
    Image.fromarray(random.integers(0, 65536, (9, 9), np.uint16)).save(tmp_path / "deep.png")
    config = _compose(tmp_path)
    assert (config.data.channels, config.data.bit_depth, config.data.mean) == (3, 8, (0.485, 0.456, 0.406))
    data = load_data(config.data)
    assert data.train.names == ("0.png", "1.png", "2.png", "deep.png")
    assert [Path(path).name for path in data.passed_over] == ["features.npy"]


def test_the_key_of_the_bits_leaves_earlier_hashes_as_they_are() -> None:
    values = to_mapping(compose(["data=digits"]))
    assert values["data"]["bit_depth"] == 8
    assert "bit_depth" not in without_added(values)["data"]


def test_data_in_gray_or_colour_has_no_other_channels() -> None:
    config = compose(["data=digits", "data.channels=5", "data.mean=[0,0,0,0,0]", "data.std=[1,1,1,1,1]"])
    with pytest.raises(
        UserError, match=r"data.channels must be 1 or 3 of images that come in gray .*received 5"
    ):
        load_data(config.data)
