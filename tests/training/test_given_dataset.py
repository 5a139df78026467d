"""A Dataset passed from Python trains as the same images in a folder do, to the bit, and is known again."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset
from torchvision.datasets import ImageFolder

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.data import load_data
from ssl_zoo.data.given import given, passing
from ssl_zoo.errors import UserError
from ssl_zoo.training.module import TrainingModule

TINY = (
    "method=simsiam", "backbone.name=test_resnet", "epochs=2", "batch_size=8", "precision=fp32",
    "method.projector.hidden_dim=16", "method.projector.output_dim=8", "method.predictor.hidden_dim=8",
    "monitor.knn.k=3", "monitor.probe.draws=2", "monitor.baselines=false", "trainer.progress=false",
    "trainer.memory_check=false", "trainer.loggers=[]", "trainer.checkpoint_every_epochs=1", "data.workers=0",
)  # fmt: skip


class Images(Dataset[Any]):
    """Arrays or tensors (C, H, W), with or without labels."""

    def __init__(self, images: Any, labels: Any = None) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Any:
        image = self.images[position]
        return image if self.labels is None else (image, self.labels[position])


def _random(count: int = 16, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> Any:
    most = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, most, (count, channels, 12, 12), dtype)


def _folder(root: Path, images: Any, classes: int) -> Path:
    for number, image in enumerate(images):
        folder = root / f"class{number * classes // len(images)}" if classes else root
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{number:02d}.npy", image)
    return root


def _weights(run: Path) -> dict[str, Any]:
    return ssl_zoo.open_run(run).weights


def _assert_equal_runs(one: Path, other: Path) -> None:
    left, right = _weights(one), _weights(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    rows = [list(csv.DictReader((run / "metrics.csv").read_text().splitlines())) for run in (one, other)]
    for a, b in zip(*rows, strict=True):
        timed = {name for name in a if "second" in name}
        assert {k: v for k, v in a.items() if k not in timed} == {
            k: v for k, v in b.items() if k not in timed
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "dtype", "labelled", "cache_mb"),
    [
        (3, np.uint8, True, 64.0),
        (3, np.uint8, False, 0.0),
        (5, np.uint16, True, 0.0),
        (5, np.uint16, False, 64.0),
    ],
)
def test_it_equals_the_same_images_in_a_folder(
    tmp_path: Path, channels: int, dtype: Any, labelled: bool, cache_mb: float
) -> None:
    images = _random(channels=channels, dtype=dtype)
    folder = _folder(tmp_path / "images", images, 2 if labelled else 0)
    more = (*TINY, f"data.cache_mb={cache_mb}", *(["data.holdout=0.25"] if labelled else []))
    ssl_zoo.train(
        [*more, "data=imagefolder", f"data.train={folder}", f"run_dir={tmp_path / 'folder'}"], silent=True
    )
    labels = [number * 2 // 16 for number in range(16)] if labelled else None
    tensors = torch.from_numpy(images) if labelled else images
    result = ssl_zoo.train(
        [*more, f"run_dir={tmp_path / 'dataset'}"], data=Images(tensors, labels), silent=True
    )
    _assert_equal_runs(tmp_path / "folder", tmp_path / "dataset")
    assert (result.knn_top1 is not None) == labelled


@pytest.mark.slow
def test_pillow_images_and_torchvisions_targets(tmp_path: Path) -> None:
    for number, image in enumerate(_random()):
        (tmp_path / "images" / "ab"[number // 8]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(
            tmp_path / "images" / "ab"[number // 8] / f"{number:02d}.png"
        )
    folder = tmp_path / "images"
    run = [*TINY, "epochs=1"]
    ssl_zoo.train(
        [*run, "data=imagefolder", f"data.train={folder}", f"run_dir={tmp_path / 'folder'}"], silent=True
    )
    dataset = ImageFolder(str(folder))
    ssl_zoo.train([*run, f"run_dir={tmp_path / 'given'}"], data=dataset, silent=True)
    _assert_equal_runs(tmp_path / "folder", tmp_path / "given")
    with passing(run, dataset, Subset(dataset, range(4, 12))) as overrides:
        data = load_data(ssl_zoo.compose(overrides).data)
    assert data.classes == ("a", "b")
    assert data.test is not None
    assert data.test.labels is not None
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4


@pytest.mark.slow
def test_a_run_is_resumed_with_the_same_dataset_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Images(_random(channels=4), [number % 2 for number in range(16)])
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    ssl_zoo.train([*TINY, "epochs=3", f"run_dir={whole}"], data=images, silent=True)

    def killed(self: Any, *_: Any) -> None:
        if self.trainer.current_epoch == 1:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_epoch_start", killed)
        with pytest.raises(RuntimeError, match="killed"):
            ssl_zoo.train([*TINY, "epochs=3", f"run_dir={parted}"], data=images, silent=True)
    resume = [f"run_dir={parted}", "resume=auto"]
    for other in (
        Images(_random(channels=4, seed=1), images.labels),
        Images(images.images[:12], images.labels[:12]),
    ):
        with pytest.raises(
            UserError, match=r"the run is of a .*Images of 16 images with digest .*; pass the same"
        ):
            ssl_zoo.train(resume, data=other, silent=True)
    with pytest.raises(UserError, match=r"reads a Dataset that is passed from Python .*; received none"):
        ssl_zoo.train(resume, silent=True)
    ssl_zoo.train(resume, data=images, silent=True)
    _assert_equal_runs(whole, parted)


@pytest.mark.slow
def test_it_is_evaluated_and_embedded_with_a_dataset_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = _random(channels=4)
    labels = [number * 2 // 16 for number in range(16)]
    run = tmp_path / "run"
    ssl_zoo.train([*TINY, "epochs=1", f"run_dir={run}"], data=Images(images, labels), silent=True)
    config: Any = ssl_zoo.open_run(run).config
    assert (config.data.name, config.data.length) == ("Images", 16)
    assert config.data.dataset.endswith("test_given_dataset.Images")
    assert main(["eval", str(run), "protocol=knn"]) == 2
    assert "name other images, for instance data=imagefolder data.train=FOLDER" in capsys.readouterr().err
    test = Images(_random(8, channels=4, seed=2), [0, 1] * 4)
    knn = [f"run={run}", "protocol=knn", "knn.k=[3]", "progress=false"]
    [record] = ssl_zoo.evaluate(knn, data=Images(images, labels), test=test, silent=True)
    train_folder = _folder(tmp_path / "train", images, 2)
    out = [f"run={run}", "progress=false"]
    ssl_zoo.embed([*out, f"out={tmp_path / 'given.npy'}"], True, data=Images(images, labels))
    ssl_zoo.embed(
        [*out, f"out={tmp_path / 'folder.npy'}", "data=imagefolder", f"data.train={train_folder}"], True
    )
    passed, folder = (np.load(tmp_path / f"{name}.npy") for name in ("given", "folder"))
    assert np.array_equal(passed, folder)
    assert record["data"]["test_images"] == 8
    model, preprocess = ssl_zoo.load_backbone(run)
    with torch.inference_mode():
        features = model(torch.stack([preprocess(image) for image in images]))
    assert np.allclose(features.numpy(), passed, atol=1e-5)


class _Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(())


class _Jittered(Images):
    def __getitem__(self, position: int) -> Any:
        return np.random.default_rng().integers(0, 255, (3, 12, 12), np.uint8)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (_Stream(), (), "data= takes a map-style Dataset, .*; received _Stream"),
        ({"a": 1}, (), "data= takes a map-style Dataset, .*; received dict"),
        ([], (), "data= must hold images; received a list of length 0"),
        (["a.png"], (), "item 0 is not: an image is one of Pillow, an array or a tensor; received str"),
        (Images(np.zeros((4, 3, 12, 12), np.int64)), (), "item 0 is not: values of type int64"),
        ([(np.zeros((3, 9, 9), np.uint8), 1, 2)], (), r"it has 3 parts; return image or \(image, label\)"),
        (Images(_random(), ["a"] * 16), (), "a label must be a whole number; received str"),
        (
            Images(_random(), [0] * 16),
            (),
            "labels must be of two classes or more; received labels of 1 classes",
        ),
        (_Jittered(_random()), (), "must be the same each time.*; leave random transforms out"),
        (Images(_random()), ("data=digits",), "received a Images and data=digits; leave one"),
        (Images(_random()), ("data.on_error=skip",), "data.on_error=skip leaves out files"),
        (
            Images(_random(channels=5)),
            ("data.channels=4",),
            "it has 5 channels, and data.channels=4; leave it out",
        ),
        (
            Images(_random()),
            ("trainer.devices=2",),
            "would start processes that the Dataset of data= is not in",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    tmp_path: Path, data: Any, more: tuple[str, ...], message: str
) -> None:
    run = tmp_path / "run"
    with pytest.raises(UserError, match=message):
        ssl_zoo.train([*TINY, f"run_dir={run}", *more], data=data, silent=True)
    assert not run.exists()


def test_nothing_of_a_dataset_is_left_after_the_call() -> None:
    with passing(TINY, Images(_random())) as overrides:
        config = ssl_zoo.compose(overrides)
        assert given() is not None
    assert given() is None
    assert dataclasses.asdict(config.data)["length"] == 16
    with pytest.raises(UserError, match="test= goes with data="), passing([], None, Images(_random())):
        pass
