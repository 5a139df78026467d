"""Each export, taken up by the code on its own card in a process without ssl_zoo."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.exports import COLOUR, blocks, case, features_of, images, make, take_up
from PIL import Image
from safetensors import safe_open

from ssl_zoo.augment import normalize
from ssl_zoo.errors import UserError
from ssl_zoo.exporters.load_backbone import load_backbone
from ssl_zoo.exporters.run import export
from ssl_zoo.run_dir.saved_run import open_run

pytestmark = pytest.mark.slow

GRAY = ("data=digits", "backbone.name=test_resnet", "backbone.stem=small", "augment.size=8")
RESNET = (*COLOUR, "backbone.name=resnet18", "augment.size=32")
SMALL_RESNET = ("data=digits", "backbone.name=resnet18", "backbone.stem=small", "augment.size=16")
VIT = (*COLOUR, "backbone.name=test_vit", "backbone.num_heads=4", "augment.size=32")
RUNS = {"gray": GRAY, "resnet": RESNET, "small": SMALL_RESNET, "vit": VIT}
EXPORTS = {
    "gray": ["timm", "safetensors", "onnx"],
    "resnet": ["timm", "torchvision"],
    "small": ["torchvision"],
    "vit": ["timm", "safetensors"],
}
CASES = [
    *[f"{run}/{format}" for run, formats in EXPORTS.items() for format in formats],
    "vit/raw",  # onnx without the normalisation
    "resnet/local-dir",
    "vit/local-dir",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs and their exports."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("exports")
    for name, overrides in RUNS.items():
        make(folder / name, *overrides)
        export([f"run={folder / name}", f"format=[{','.join(EXPORTS[name])}]"], silent=True)
    raw = [
        f"run={folder / 'vit'}",
        "format=onnx",
        "include_normalization=false",
        f"out={folder / 'raw'}",
    ]
    export(raw, silent=True)
    pixels = np.random.default_rng(0).integers(0, 256, (123, 151, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "large.png")
    make_other_modes(folder)
    return folder


OTHER_MODES = ["turned", "mirrored", "deep", "deep_turned", "clear", "palette"]


def make_other_modes(folder: Any) -> None:
    """Images that `convert` alone would leave lying on their side, or white."""
    random = np.random.default_rng(1)
    colour = Image.fromarray(random.integers(0, 256, (130, 101, 3), dtype=np.uint8))
    deep = Image.fromarray(random.integers(0, 65536, (41, 30), dtype=np.uint16))
    exif = colour.getexif()
    exif[0x0112] = 6  # a quarter turn
    colour.save(folder / "turned.jpg", exif=exif)
    deep.save(folder / "deep.png")
    deep.save(folder / "deep_turned.png", exif=exif)
    exif[0x0112] = 2  # left and right change places
    colour.save(folder / "mirrored.png", exif=exif)
    Image.fromarray(random.integers(0, 256, (30, 20, 4), dtype=np.uint8)).save(folder / "clear.png")
    colour.quantize(16).save(folder / "palette.png")


@pytest.fixture(scope="module")
def taken(folder: Any) -> Any:
    """What a process without ssl_zoo makes of all exports."""
    pytest.importorskip("onnxruntime")
    cases = {}
    for name in CASES:
        run, format = name.split("/")
        place = (
            folder / "raw"
            if format == "raw"
            else folder / run / "export" / format.replace("local-dir", "timm")
        )
        data, size = open_run(folder / run).config.data, open_run(folder / run).config.augment.size
        batch = images(data.channels, size)
        if format != "onnx":
            batch = normalize(batch, data.mean, data.std)
        load = 1 if format == "local-dir" else 0
        pictures = [next(folder.glob(f"{picture}.*")) for picture in ("large", *OTHER_MODES)]
        cases[name] = case(place, batch, pictures, load)
    return take_up(cases, folder)


@pytest.fixture(scope="module")
def wanted(folder: Any) -> Any:
    """The features of each run."""
    found = {}
    for name in RUNS:
        config = open_run(folder / name).config
        batch = images(config.data.channels, config.augment.size)
        normalized = normalize(batch, config.data.mean, config.data.std)  # (N, C, H, W)
        found[name] = features_of(folder / name, normalized).numpy()
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_code_on_the_card_computes_the_features_of_the_run(name: Any, wanted: Any, taken: Any) -> None:
    wanted = wanted[name.split("/")[0]]
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(taken[name], wanted, atol=1e-4 if "onnx" in name or "raw" in name else 1e-5)


@pytest.mark.parametrize("name", ["gray/onnx", "vit/raw"])
def test_an_onnx_graph_takes_batches_of_any_size(name: str, taken: Any) -> None:
    np.testing.assert_allclose(taken[f"{name}/one"], taken[name][:1], atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_preprocessing_on_the_card_is_the_evaluation_view(name: Any, folder: Any, taken: Any) -> None:
    config = open_run(folder / name.split("/")[0]).config
    size = config.augment.size
    side = round(size * 256 / 224)
    image = Image.open(folder / "large.png").convert("L" if config.data.channels == 1 else "RGB")
    image = image.resize((int(side * 151 / 123), side), Image.Resampling.BILINEAR)  # Pillow's own antialias
    pixels = np.asarray(image, dtype=np.float64).reshape(*image.size[::-1], -1) / 255
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    wanted = pixels[top : top + size, left : left + size].transpose(2, 0, 1)
    if not name.endswith("onnx"):
        wanted = (wanted - np.reshape(config.data.mean, (-1, 1, 1))) / np.reshape(config.data.std, (-1, 1, 1))
    np.testing.assert_allclose(taken[f"{name}/prepared/large"], wanted, atol=1e-5)


@pytest.mark.parametrize("picture", OTHER_MODES)
@pytest.mark.parametrize("name", ["gray/timm", "gray/onnx", "resnet/torchvision", "vit/safetensors"])
def test_the_preprocessing_on_the_card_reads_any_image_as_the_training_did(
    name: str, picture: Any, folder: Any, taken: Any
) -> None:
    preprocess = load_backbone(folder / name.split("/")[0]).preprocess
    wanted = preprocess(Image.open(next(folder.glob(f"{picture}.*")))).numpy()
    if name.endswith("onnx"):  # which normalises by itself
        wanted = wanted * np.reshape(preprocess.std, (-1, 1, 1)) + np.reshape(preprocess.mean, (-1, 1, 1))
    np.testing.assert_allclose(taken[f"{name}/prepared/{picture}"], wanted, atol=1e-5)


def test_the_preprocessing_on_the_card_refuses_what_has_no_range(folder: Any) -> None:
    code = next(block for block in blocks(folder / "gray" / "export" / "timm") if "def preprocess" in block)
    space: dict[str, Any] = {}
    exec(code, space)
    with pytest.raises(ValueError, match="32 bits per channel"):
        space["preprocess"](Image.new("F", (8, 8)))


def test_timm_refuses_a_folder_whose_stem_it_cannot_build(folder: Any) -> None:
    import timm

    with pytest.raises(RuntimeError, match="Unknown model"):
        timm.create_model(f"local-dir:{folder / 'gray' / 'export' / 'timm'}", pretrained=True, num_classes=10)


def test_a_head_on_timms_local_dir_keeps_every_weight_of_the_backbone(folder: Any) -> None:
    import timm

    model = timm.create_model(
        f"local-dir:{folder / 'resnet' / 'export' / 'timm'}", pretrained=True, num_classes=7
    )
    saved = open_run(folder / "resnet").backbone_weights
    assert {name for name in model.state_dict() if name not in saved} == {"fc.weight", "fc.bias"}
    assert all(
        torch.equal(weight, saved[name]) for name, weight in model.state_dict().items() if name in saved
    )


def test_timms_transform_of_the_folder_is_the_evaluation_view(tmp_path: Path) -> None:
    """For images larger than 96 pixels, at a size where timm's rounding down would be a pixel off."""
    import timm.data

    from ssl_zoo.exporters import encoder

    overrides = ["data=imagefolder", "data.train=x", "backbone.name=test_resnet", "augment.size=160"]
    run = make(tmp_path / "run", *overrides)
    cfg = encoder.pretrained_cfg(encoder.encoder_of(open_run(run)))
    config = {key: tuple(value) if isinstance(value, list) else value for key, value in cfg.items()}
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=config))  # type: ignore[attr-defined]
    pixels = np.random.default_rng(0).integers(0, 256, (230, 199, 3), dtype=np.uint8)
    preprocess = load_backbone(run).preprocess
    image = Image.fromarray(pixels)
    torch.testing.assert_close(preprocess(image), transform(image), atol=1e-5, rtol=0)


def test_timm_resizes_to_the_pixels_of_the_evaluation_view_at_any_size() -> None:
    from ssl_zoo.exporters.encoder import crop_pct

    assert crop_pct(224) == 0.875
    assert [
        size for size in range(1, 5000) if math.floor(size / crop_pct(size)) != round(size * 256 / 224)
    ] == []


def test_files_say_what_they_are(folder: Any) -> None:
    import onnx

    run = open_run(folder / "gray")
    place = folder / "gray" / "export"
    with safe_open(place / "safetensors" / "backbone.safetensors", framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["digest"] == run.digest
    assert (metadata["method"], metadata["architecture"], metadata["stem"]) == (
        "simsiam",
        "test_resnet",
        "small",
    )
    graph = onnx.load(place / "onnx" / "model.onnx")
    assert {one.key: one.value for one in graph.metadata_props}["digest"] == run.digest
    assert b".py" not in (place / "onnx" / "model.onnx").read_bytes(), "paths of this machine"
    described = json.loads((place / "timm" / "config.json").read_text())
    assert described["num_features"] == features_of(folder / "gray", images(1, 8)).shape[1]
    assert described["pretrained_cfg"]["crop_pct"] == 1.0


def test_several_formats_stand_side_by_side(folder: Any) -> None:
    names = sorted(path.name for path in (folder / "gray" / "export").iterdir())
    assert names == ["onnx", "safetensors", "timm"]
    modes = {path.stat().st_mode & 0o777 for path in Path(folder / "gray" / "export" / "timm").iterdir()}
    assert len(modes) == 1, "all readable by whom the user's umask says"


def test_weights_from_before_the_training(tmp_path: Path, folder: Any) -> None:
    out = export(
        [f"run={folder / 'gray'}", "format=timm", "weights=random", f"out={tmp_path / 'random'}"], True
    )
    card = (out / "MODEL_CARD.md").read_text()
    assert "before the training" in card
    from safetensors.torch import load_file

    fresh = open_run(folder / "gray").method(trained=False).encoder.backbone.state_dict()
    assert all(
        torch.equal(weight, fresh[name]) for name, weight in load_file(out / "model.safetensors").items()
    )


def test_the_rest_of_formats_of_which_one_is_there_can_be_asked_for(tmp_path: Path) -> None:
    """As after a kill between the two."""
    run = tmp_path / "run"
    make(run, *GRAY)
    export([f"run={run}", "format=timm"], silent=True)
    with pytest.raises(UserError, match="remove it, or leave format=timm out"):
        export([f"run={run}", "format=[safetensors,timm]"], silent=True)
    with pytest.raises(UserError, match=r"or remove it$"):
        export([f"run={run}", "format=timm"], silent=True)
    assert [path.name for path in (run / "export").iterdir()] == ["timm"]
