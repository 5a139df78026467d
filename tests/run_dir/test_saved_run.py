"""A saved run opened again: the very weights, or a refusal."""

from __future__ import annotations

import dataclasses
import html
import shutil
from pathlib import Path

import pytest
import torch
from helpers.runs import overrides
from helpers.saved_runs import HARMS, train_tiny

import ssl_zoo
from ssl_zoo.run_dir.checkpoints import Position
from ssl_zoo.run_dir.saved_run import open_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("saved") / "run", "moco")


def test_the_weights_are_those_of_the_checkpoint(run: Path) -> None:
    saved = open_run(run)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    backbone = saved.backbone()
    assert not backbone.training
    for name, weight in backbone.state_dict().items():
        assert torch.equal(weight, state[f"method.encoder.backbone.{name}"])
    for name, weight in saved.method().state_dict().items():  # queue and momentum encoder too
        assert torch.equal(weight, state[f"method.{name}"])


def test_it_shows_itself_with_the_figures_of_its_weights_alone(run: Path) -> None:
    saved = open_run(run)
    assert saved.result is not None
    assert saved.result["verdict_reason"][1:] in html.unescape(saved._repr_html_())
    assert len(repr(saved)) < 200
    page = html.unescape(dataclasses.replace(saved, position=Position(1, 0))._repr_html_())
    assert saved.title in page
    assert "epoch 1 of 2" in page
    assert saved.result["verdict_reason"][1:] not in page


def test_the_random_encoder_is_that_of_the_seed(run: Path) -> None:
    untrained = ssl_zoo.build_method(overrides("moco")).encoder.backbone.state_dict()
    opened = open_run(run).backbone(trained=False).state_dict()
    assert all(torch.equal(weight, opened[name]) for name, weight in untrained.items())
    assert open_run(run).digest != ""
    assert any(
        not torch.equal(weight, untrained[name]) for name, weight in open_run(run).backbone_weights.items()
    )


def test_the_random_encoder_for_another_size(tmp_path: Path) -> None:
    vit = (
        "backbone.name=test_vit3",
        "backbone.stem=standard",
        "augment.size=32",
        "data.limit=32",
        "epochs=1",
    )
    run = train_tiny(tmp_path / "run", "simclr", *vit)
    pixels = torch.zeros(1, 1, 48, 48)
    assert open_run(run).backbone(trained=False, size=48)(pixels).shape[0] == 1
    with pytest.raises(ssl_zoo.UserError, match="of another shape, such as 'pos_embed'"):
        open_run(run).backbone(size=48)


def test_a_checkpoint_by_itself(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "alone.ckpt")
    whole, alone = open_run(run), open_run(tmp_path / "alone.ckpt")
    assert (alone.digest, alone.config, alone.position) == (whole.digest, whole.config, whole.position)
    assert (whole.folder, alone.folder) == (run.resolve(), tmp_path.resolve())
    assert whole.result is not None
    assert alone.result is None


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_run_is_refused(
    harm: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, "run")
    act, reason = HARMS[harm]
    act(Path("run/checkpoints/last.ckpt"))
    with pytest.raises(ssl_zoo.UserError) as error:
        open_run("run").backbone()
    assert reason in str(error.value)
    assert not Path("boom").exists()
