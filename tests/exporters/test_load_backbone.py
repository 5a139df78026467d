"""`load_backbone` against the run's own method, and its preprocessing against the evaluation's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.exports import COLOUR, features_of, images, make
from PIL import Image

from ssl_zoo.augment import normalize
from ssl_zoo.data import FileSplit, MemorySplit
from ssl_zoo.data.memory_split import to_channels
from ssl_zoo.errors import UserError
from ssl_zoo.exporters.load_backbone import load_backbone
from ssl_zoo.exporters.run import export

GRAY = ("data=digits", "backbone.name=test_resnet", "backbone.stem=small", "augment.size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("load")
    make(folder / "gray", *GRAY)
    make(folder / "colour", *COLOUR, "backbone.name=test_resnet", "augment.size=32")
    make(folder / "vit", *COLOUR, "backbone.name=test_vit", "backbone.num_heads=4", "augment.size=32")
    for name in ("gray", "colour", "vit"):
        export([f"run={folder / name}", "format=timm"], silent=True)
    random = np.random.default_rng(0)
    for name, shape in {
        "small_gray": (20, 31),
        "small_colour": (31, 20, 3),
        "rim_colour": (96, 131, 3),
        "large_gray": (97, 140),
        "large_colour": (203, 150, 3),
    }.items():
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


IMAGES = ["small_gray", "small_colour", "rim_colour", "large_gray", "large_colour"]


@pytest.mark.slow
@pytest.mark.parametrize("exported", [False, True], ids=["run", "export"])
@pytest.mark.parametrize("name", ["gray", "colour", "vit"])
def test_the_model_computes_the_features_of_the_run(name: str, exported: bool, folder: Any) -> None:
    place = folder / name / "export" / "timm" if exported else folder / name
    model, preprocess = load_backbone(place)
    batch = images(preprocess.channels, preprocess.size)
    assert not model.training
    with torch.inference_mode():
        torch.testing.assert_close(model(batch), features_of(folder / name, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("exported", [False, True], ids=["run", "export"])
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", ["gray", "colour"])
def test_preprocessing_is_that_of_the_evaluation(name: str, image: Any, exported: bool, folder: Any) -> None:
    preprocess = load_backbone(folder / name / "export" / "timm" if exported else folder / name).preprocess
    channels, size = (1, 8) if name == "gray" else (3, 32)
    found = preprocess(Image.open(folder / f"{image}.png"))
    mean, std = ((0.3,), (0.37,)) if name == "gray" else ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    files = FileSplit(folder, (f"{image}.png",), None, channels, workers=0)
    (wanted,) = (normalize(batch, mean, std) for batch in files.plain_batches(size, 1))
    assert found.shape == (channels, size, size)
    torch.testing.assert_close(found, wanted[0], atol=1e-6, rtol=0)
    array = np.array(Image.open(folder / f"{image}.png"))
    pixels = torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)[None]  # (1, 1 or 3, H, W)
    memory = MemorySplit(to_channels(pixels, channels).contiguous())
    (wanted,) = (normalize(batch, mean, std) for batch in memory.plain_batches(size, 1))
    torch.testing.assert_close(found, wanted[0], atol=1.01 / 255 / min(std), rtol=0)  # a level of 8 bits


def test_other_modes_are_read_as_files_are(folder: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    turned = Image.fromarray(random.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter turn
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(random.integers(0, 65536, (30, 20), dtype=np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(random.integers(0, 256, (30, 20, 4), dtype=np.uint8)).save(tmp_path / "clear.png")
    preprocess = load_backbone(folder / "colour").preprocess
    for name in ("turned.png", "deep.png", "clear.png"):
        split = FileSplit(tmp_path, (name,), None, 3, workers=0)
        (wanted,) = (
            normalize(batch, preprocess.mean, preprocess.std) for batch in split.plain_batches(32, 1)
        )
        torch.testing.assert_close(preprocess(Image.open(tmp_path / name)), wanted[0], atol=1e-6, rtol=0)


def test_preprocessing_can_be_sent_to_worker_processes(folder: Any) -> None:
    preprocess = load_backbone(folder / "colour").preprocess
    assert pickle.loads(pickle.dumps(preprocess)) == preprocess


@pytest.mark.parametrize("exported", [False, True], ids=["run", "export"])
def test_timm_reads_what_the_model_expects(exported: bool, folder: Any) -> None:
    from timm.data.config import resolve_model_data_config

    place = folder / "colour"
    model, _ = load_backbone(place / "export" / "timm" if exported else place, size=64)
    found = resolve_model_data_config(model)
    assert found["mean"] == (0.5, 0.4, 0.3)
    assert found["std"] == (0.2, 0.3, 0.4)
    assert found["input_size"] == (3, 64, 64)
    assert found["interpolation"] == "bilinear"
    assert "hf_hub_id" not in model.pretrained_cfg, "timm's own weights are not these"


def test_weights_from_before_the_training(folder: Any) -> None:
    batch = images(1, 8)
    model, _ = load_backbone(folder / "gray", weights="random")
    with torch.inference_mode():
        torch.testing.assert_close(model(batch), features_of(folder / "gray", batch, trained=False))


@pytest.mark.parametrize(
    ("place", "options", "said"),
    [
        ("nowhere", {}, "does not exist"),
        ("gray", {"weights": "best"}, "unknown weights 'best'"),
        ("gray/export/timm", {"weights": "random"}, "needs the run itself"),
        ("vit", {"size": 64}, "built for one image size"),
        ("vit", {"size": 64, "weights": "random"}, "built for one image size"),
        ("vit/export/timm", {"size": 64}, "built for one image size"),
    ],
)
def test_what_cannot_be_loaded_is_refused(
    place: str, options: dict[str, Any], said: str, folder: Any
) -> None:
    with pytest.raises(UserError, match=said):
        load_backbone(folder / place, **options)


def test_a_damaged_export_is_refused(folder: Any, tmp_path: Path) -> None:
    whole = folder / "gray" / "export" / "timm"
    (tmp_path / "config.json").write_bytes((whole / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read as one"):
        load_backbone(tmp_path)


def test_preprocessing_takes_images_of_a_known_range_alone(folder: Any) -> None:
    preprocess = load_backbone(folder / "gray").preprocess
    with pytest.raises(UserError, match="an image is one of Pillow, an array or a tensor; received str"):
        preprocess("a.png")
    with pytest.raises(UserError, match="values of type int64 have no known black and white"):
        preprocess(np.zeros((8, 8), np.int64))
    values = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    assert torch.equal(preprocess(values), preprocess(Image.fromarray(values)))
