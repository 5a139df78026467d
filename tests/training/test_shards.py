"""Runs on shards: those on the folder that they were written from, to the bit; killed ones are in test_kill.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.sharding.run import write_shards
from ssl_zoo.testing.stopping import stopped_after

TINY = (
    "method=simsiam", "backbone.name=test_resnet", "epochs=2", "batch_size=8", "precision=fp32", "data.holdout=0.25",
    "method.projector.hidden_dim=16", "method.projector.output_dim=8", "method.predictor.hidden_dim=8",
    "monitor.knn.k=3", "monitor.probe.draws=2", "monitor.baselines=false", "trainer.progress=false",
    "trainer.memory_check=false", "trainer.loggers=[]", "trainer.checkpoint_every_epochs=1", "data.workers=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    for number in range(48):
        file = root / "images" / f"kind{number % 2}" / f"{number:02d}.{('png', 'jpg')[number // 2 % 2]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20 + number % 2, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
    for order in ("true", "false"):
        options = [f"data.train={root}/images", f"out={root}/shards-{order}", "images_per_shard=10"]
        write_shards([*options, f"shuffle={order}"], silent=True)
    return root


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return ssl_zoo.open_run(run).weights


@pytest.mark.slow
def test_shards_in_the_order_of_names_train_as_the_folder_does(folder: Path, tmp_path: Path) -> None:
    plain = [*TINY, "data=imagefolder", f"data.train={folder}/images", f"run_dir={tmp_path / 'files'}"]
    shards = [*TINY, "data=webdataset", f"data.train={folder}/shards-false", f"data.root={tmp_path / 'c'}"]
    one = ssl_zoo.train(plain, silent=True)
    two = ssl_zoo.train([*shards, f"run_dir={tmp_path / 'shards'}"], silent=True)
    left, right = _weights(tmp_path / "files"), _weights(tmp_path / "shards")
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert (one.loss, one.knn_top1, one.metrics) == (two.loss, two.knn_top1, two.metrics)
    assert two.skipped == 0
    with_windows = [*shards, "data.shuffle_shards=1", f"run_dir={tmp_path / 'windows'}"]
    assert ssl_zoo.train(with_windows, silent=True).loss != two.loss


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_shards_alone(folder: Path, tmp_path: Path) -> None:
    """In the middle of an epoch, to the bit, from another place; other images of the same number are refused."""
    shards = [*TINY, "data=webdataset", "data.shuffle_shards=2", f"data.root={tmp_path / 'c'}"]
    one, two = folder / "shards-true", tmp_path / "elsewhere"
    two.symlink_to(one)
    ssl_zoo.train([*shards, f"data.train={two}", f"run_dir={tmp_path / 'whole'}"], silent=True)
    begun = [*shards, f"data.train={two}", f"run_dir={tmp_path / 'parts'}"]
    with stopped_after(3), pytest.raises(Interrupted):
        ssl_zoo.train(begun, silent=True)
    two.unlink()
    two.symlink_to(folder / "shards-false")
    with pytest.raises(
        UserError, match=r"resume continues on the same images; .* was trained on images of digest"
    ):
        ssl_zoo.train([*begun, "resume=auto"], silent=True)
    two.unlink()
    two.symlink_to(one)
    ssl_zoo.train([*begun, "resume=auto"], silent=True)
    left, right = _weights(tmp_path / "whole"), _weights(tmp_path / "parts")
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_copies_have_no_part_in_the_hash_and_the_order_has() -> None:
    def hashed(*more: str) -> str:
        return config_hash(compose(["data=webdataset", "data.train=nowhere", *more]))

    assert hashed("data.spool_gb=3") == hashed("data.root=elsewhere") == hashed()
    assert len({hashed(), hashed("data.shuffle_shards=3"), hashed("data.label=none")}) == 3


@pytest.mark.slow
def test_what_was_left_out_is_counted(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "shards-true").iterdir():
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / "s" / file.name).write_bytes(file.read_bytes())
    shard = tmp_path / "s" / "shard-000002.tar"
    shard.write_bytes(shard.read_bytes()[:5000])
    run = [
        *TINY,
        "epochs=1",
        "data=webdataset",
        f"data.train={tmp_path / 's'}",
        f"data.root={tmp_path / 'c'}",
    ]
    with pytest.raises(UserError, match=r"shard-000002\.tar' \(cut off after 5000 bytes"):
        ssl_zoo.train([*run, f"run_dir={tmp_path / 'run'}"], silent=True)
    assert not (tmp_path / "run").exists()
    result = ssl_zoo.train([*run, "data.on_error=skip", f"run_dir={tmp_path / 'run'}"], silent=True)
    assert result.skipped == 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["skipped"] == 1


@pytest.mark.slow
def test_other_verbs_read_a_runs_shards(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    ssl_zoo.train(
        [
            *TINY,
            "data=webdataset",
            f"data.train={folder}/shards-true",
            f"data.root={tmp_path / 'c'}",
            f"run_dir={run}",
        ],
        silent=True,
    )
    evaluated = ssl_zoo.evaluate([f"run={run}", "protocol=knn", "knn.k=[3]"], silent=True)
    assert evaluated
    out = ssl_zoo.embed([f"run={run}", f"out={tmp_path / 'f.npy'}", "batch_size=7"], silent=True)
    features = np.load(out)
    rows = (tmp_path / "f.files.csv").read_text().splitlines()[1:]
    assert (len(features), len(rows)) == (36, 36)
    assert all(row.startswith(f"{row.rpartition(',')[2]}/") for row in rows)
    assert main(["report", str(run)]) == 0
    assert (run / "report" / "report.html").is_file()
