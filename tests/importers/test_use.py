"""What is done with an imported encoder: evaluated, reported, exported, embedded, and trained on from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from helpers.runs import overrides
from PIL import Image

import ssl_zoo
from ssl_zoo.errors import UserError

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run imported from a small timm model, and images in two classes."""
    folder = tmp_path_factory.mktemp("imported")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(timm.create_model("test_resnet").state_dict(), folder / "weights.pth")
    ssl_zoo.import_checkpoint([*options(folder), f"run_dir={folder / 'run'}"], silent=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 2, 8, SIZE, SIZE, 3), dtype=np.uint8)
    for i, part in enumerate(("train", "test")):
        for j, kind in enumerate(("one", "two")):
            (folder / part / kind).mkdir(parents=True)
            for k, image in enumerate(pixels[i, j]):
                Image.fromarray(image).save(folder / part / kind / f"{k}.png")
    return folder


def options(folder: Path) -> list[str]:
    return [f"file={folder / 'weights.pth'}", "format=timm", "backbone.name=test_resnet", f"size={SIZE}"]


def images(folder: Path) -> list[str]:
    return [f"data.train={folder / 'train'}", f"data.test={folder / 'test'}"]


def test_eval_takes_it_and_its_untrained_twin(folder: Path) -> None:
    (record,) = ssl_zoo.evaluate([f"run={folder / 'run'}", "protocol=knn", *images(folder)], silent=True)
    (twin,) = ssl_zoo.evaluate(
        [f"run={folder / 'run'}", "protocol=knn", "weights=random", *images(folder)], silent=True
    )
    assert record["encoder"]["title"] == "timm (imported), weights.pth, trained"
    assert record["encoder"]["mean"] == tuple(timm.get_pretrained_cfg("test_resnet").mean)
    for each in (record, twin):
        known = ("trained_on", "epochs_trained", "epochs_of_the_run")
        assert [each["encoder"][key] for key in known] == [None, None, None], (
            "nothing is known of its training"
        )
    assert record["encoder"]["digest"] != twin["encoder"]["digest"]
    with pytest.raises(UserError, match=r"needs a folder of training images; data\.train is not set"):
        ssl_zoo.evaluate([f"run={folder / 'run'}", "protocol=knn"], silent=True)


@pytest.mark.slow
def test_report_says_where_it_comes_from(folder: Path) -> None:
    page = ssl_zoo.report(
        [f"run={folder / 'run'}", *images(folder), f"out={folder / 'report'}"], silent=True
    ).read_text()
    assert "timm (imported), weights.pth" in page
    assert "not trained here" in page
    assert "classifier (2 keys)" in page
    for absent in ("What the model saw", "Learning curves", "in its paper", "Collapse diagnostics"):
        assert absent not in page


def test_its_card_claims_no_training(folder: Path) -> None:
    out = ssl_zoo.export([f"run={folder / 'run'}", "format=timm", f"out={folder / 'export'}"], silent=True)
    card = (out / "MODEL_CARD.md").read_text()
    assert "Imported from `weights.pth`, a checkpoint of timm; how it was trained is not known here." in card
    for absent in ("Trained without labels", "training images,", "epochs, batches", "of the run"):
        assert absent not in card
    model, _ = ssl_zoo.load_backbone(out)
    theirs = timm.create_model("test_resnet", num_classes=0).eval()
    state = torch.load(folder / "weights.pth", weights_only=True)
    theirs.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(model(x), theirs(x), rtol=0, atol=1e-6)


def test_embed_takes_it(folder: Path) -> None:
    out = folder / "features.npy"
    ssl_zoo.embed([f"run={folder / 'run'}", f"out={out}", *images(folder)], silent=True)
    assert np.load(out).shape == (16, 96)


def test_images_may_be_named_when_it_is_imported(folder: Path) -> None:
    own, data = folder / "with images", ["data=imagefolder", "data.name=noise", *images(folder)]
    ssl_zoo.import_checkpoint([*options(folder), f"run_dir={own}", *data], silent=True)
    (record,) = ssl_zoo.evaluate([f"run={own}", "protocol=knn"], silent=True)
    assert record["data"]["name"] == "noise"
    assert record["encoder"]["mean"] == tuple(timm.get_pretrained_cfg("test_resnet").mean)


def test_its_interpolation_is_that_of_whatever_reads_it(folder: Path) -> None:
    own, large = folder / "bicubic", folder / "large" / "train" / "one"
    ssl_zoo.import_checkpoint([*options(folder), f"run_dir={own}", "data.interpolation=bicubic"], silent=True)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 150, 120, 3), dtype=np.uint8)
    large.mkdir(parents=True)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(large / f"{number}.png")
    model, preprocess = ssl_zoo.load_backbone(own)
    resized = [
        Image.fromarray(image).resize((37, 46), Image.Resampling.BICUBIC) for image in pixels
    ]  # 256/224 of 32
    views = [np.asarray(image.crop((2, 7, 34, 39)), dtype=np.float32) / 255 for image in resized]
    mean, std = (np.array(getattr(timm.get_pretrained_cfg("test_resnet"), key)) for key in ("mean", "std"))
    wanted = torch.from_numpy(((np.stack(views) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    torch.testing.assert_close(torch.stack([preprocess(Image.fromarray(image)) for image in pixels]), wanted)
    for more in ([], ["data.on_error=skip"]):
        out = folder / f"bicubic{len(more)}.npy"
        ssl_zoo.embed([f"run={own}", f"out={out}", f"data.train={large}", *more], silent=True)
        with torch.inference_mode():
            features = model(wanted).numpy()
        np.testing.assert_allclose(np.load(out), features, rtol=1e-4, atol=1e-5)
    exported = ssl_zoo.export([f"run={own}", "format=timm"], silent=True)
    assert "Image.Resampling.BICUBIC" in (exported / "MODEL_CARD.md").read_text()
    assert ssl_zoo.load_backbone(exported).preprocess == preprocess


def test_a_training_begins_with_it(folder: Path, tmp_path: Path) -> None:
    run = [*overrides("byol"), "data.channels=3", "epochs=1", "backbone.stem=standard", "augment.size=16"]
    run += ["monitor.baselines=false", f"start_from={folder / 'run'}"]
    result = ssl_zoo.train([*run, "optimizer.lr=1e-12", f"run_dir={tmp_path / 'run'}"], silent=True)
    assert result.start_from is not None
    assert result.start_from["taken"] == ["backbone"]
    assert result.start_from["random"] == ["projector", "predictor"]
    weights = ssl_zoo.open_run(tmp_path / "run").backbone_weights
    theirs = torch.load(folder / "weights.pth", weights_only=True)
    name = next(name for name in theirs if name.endswith("conv1.weight") and theirs[name].ndim == 4)
    torch.testing.assert_close(weights[name], theirs[name], rtol=0, atol=1e-6)
    with pytest.raises(UserError, match=r"start_from needs a run with the same backbone: "):
        ssl_zoo.train([*run, "backbone.name=test_vit", "augment.size=32"], silent=True)


def test_it_is_not_continued(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"was imported, not trained here; begin a run with its weights: start_from="
    ):
        ssl_zoo.train([f"run_dir={folder / 'run'}", "resume=auto"], silent=True)
    assert json.loads((folder / "run" / "result.json").read_text())["verdict"] == "imported"
