"""A data set of Hugging Face trains as the same image files in a folder do, to the bit, and serves the other verbs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training.test_given_dataset import TINY, _assert_equal_runs

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.errors import UserError
from ssl_zoo.training.module import TrainingModule

datasets: Any = pytest.importorskip("datasets")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    datasets.disable_progress_bars()


def make(
    root: Path, count: int = 16, side: int = 40, seed: int = 0, parquet: bool = False
) -> tuple[Path, Path]:
    """Writes JPEGs of two classes into a folder, and a data set of the same files in the same order."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        path = root / "folder" / "ab"[number * 2 // count] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 256, (side + number % 3, side, 3), np.uint8)
        Image.fromarray(values).save(path)
    files = sorted((root / "folder").rglob("*.jpg"))
    rows = {
        "image": [{"bytes": file.read_bytes(), "path": None} for file in files],
        "label": [file.parent.name for file in files],
    }
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    made = datasets.Dataset.from_dict(rows, features=kinds)
    if parquet:
        (root / "set").mkdir()
        made.to_parquet(root / "set" / "train-00000-of-00001.parquet")
    else:
        made.save_to_disk(root / "set")
    return root / "folder", root / "set"


def of_set(path: Path) -> list[str]:
    return ["data=huggingface", f"data.path={path}"]


@pytest.mark.parametrize(("method", "parquet"), [("simsiam", False), ("moco", True)])
def test_it_equals_the_same_files_in_a_folder(tmp_path: Path, method: str, parquet: bool) -> None:
    folder, path = make(tmp_path, parquet=parquet)
    run = [*TINY[1:], f"method={method}", "epochs=1", "data.holdout=0.25", "data.cache_mb=0"]
    if method == "moco":
        run = [each for each in run if "predictor" not in each] + ["method.queue.size=16"]
    of_folder = ["data=imagefolder", f"data.train={folder}"]
    for name, images in (("folder", of_folder), ("set", of_set(path))):
        result = ssl_zoo.train([*run, *images, f"run_dir={tmp_path / 'runs' / name}"], silent=True)
        assert result.knn_top1 is not None
    _assert_equal_runs(tmp_path / "runs" / "folder", tmp_path / "runs" / "set")


def test_a_killed_run_goes_on_in_the_middle_of_an_epoch_with_the_same_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a memory of each image, by its row, and no labels."""
    make(tmp_path / "these")
    make(tmp_path / "others", seed=1)
    monkeypatch.chdir(tmp_path / "these")
    run = [
        *TINY, *of_set(Path("set")), "epochs=2", "batch_size=4", "data.cache_mb=0", "data.label_column=none",
        "method.predictor.kind=identity", "method.assignment=moving_average", "trainer.checkpoint_every_steps=1",
    ]  # fmt: skip
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    ssl_zoo.train([*run, f"run_dir={whole}"], silent=True)
    step = TrainingModule.training_step

    def killed(self: Any, *arguments: Any) -> Any:
        if self.trainer.global_step == 6:
            raise RuntimeError("killed")
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            ssl_zoo.train([*run, f"run_dir={parted}"], silent=True)
    resume = [f"run_dir={parted}", "resume=auto"]
    monkeypatch.chdir(tmp_path / "others")
    with pytest.raises(
        UserError, match=r"the run is of 16 images of '.*' with digest .*; there are now 16 with"
    ):
        ssl_zoo.train(resume, silent=True)
    monkeypatch.chdir(tmp_path / "these")
    ssl_zoo.train(resume, silent=True)
    _assert_equal_runs(whole, parted)


@pytest.mark.processes
@pytest.mark.usefixtures("forked")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores")
def test_two_processes_and_their_workers_see_each_image_once(tmp_path: Path) -> None:
    _, path = make(tmp_path)
    run = [
        *TINY, *of_set(path), "epochs=1", "data.cache_mb=0", "data.workers=1", "trainer.accelerator=cpu",
        "method.batch_norm=sync",
    ]  # fmt: skip
    one = ssl_zoo.train([*run, f"run_dir={tmp_path / 'one'}"], silent=True)
    two = ssl_zoo.train([*run, "trainer.devices=2", f"run_dir={tmp_path / 'two'}"], silent=True)
    assert two.loss == pytest.approx(one.loss, abs=1e-4)
    weights = [ssl_zoo.open_run(tmp_path / name).weights for name in ("one", "two")]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])


def test_the_other_verbs_take_such_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = make(tmp_path)
    run = tmp_path / "run"
    ssl_zoo.train([*TINY, *of_set(path), "epochs=1", "data.holdout=0.25", f"run_dir={run}"], silent=True)
    assert main(["eval", str(run), "protocol=knn", "knn.k=[3]", "progress=false"]) == 0
    out = [f"run={run}", "progress=false"]
    ssl_zoo.embed([*out, "data.holdout=0", f"out={tmp_path / 'set.npy'}"], True)
    ssl_zoo.embed([*out, "data=imagefolder", f"data.train={folder}", f"out={tmp_path / 'folder.npy'}"], True)
    assert np.array_equal(np.load(tmp_path / "set.npy"), np.load(tmp_path / "folder.npy"))
    part = ["data.train='train[4:12]'", "data.test='train[:4]+train[12:]'", "data.holdout=0"]
    [record] = ssl_zoo.evaluate([*out, "protocol=knn", "knn.k=[3]", *part], silent=True)
    assert (record["data"]["train_images"], record["data"]["test_images"]) == (8, 8)
    assert main(["export", str(run), "format=timm"]) == 0
    assert main(["report", str(run), f"out={tmp_path / 'page'}"]) == 0
    capsys.readouterr()
    assert json.loads((run / "result.json").read_text())["data"] == "huggingface"
    assert (tmp_path / "page" / "report.html").is_file()
