"""Training in stages: which weights `start_from` takes, that it takes nothing else, and what it refuses."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.exports import SMALL, make
from helpers.runs import overrides
from helpers.saved_runs import train_tiny

import ssl_zoo
from ssl_zoo.build import build
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.method import Method
from ssl_zoo.run_dir.saved_run import open_run, start_hash
from ssl_zoo.training.saving import StopWhenAsked
from ssl_zoo.training.start_from import take_weights

pytestmark = pytest.mark.slow

PREDICTOR_OFF = "method.predictor.kind=identity"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("stage") / "one", "simsiam", "epochs=1")


def fresh(method: str, *more: str) -> Method:
    return build(compose(overrides(method, "data.channels=1", *more)), 1)[0]


def state_of(run: Path) -> dict[str, Any]:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name.removeprefix("method."): value for name, value in checkpoint.items()}


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "views_per_second"} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("method", "more", "taken", "not_taken", "random"),
    [
        ("simsiam", (), ["encoder", "predictor"], [], []),
        ("simsiam", (PREDICTOR_OFF,), ["encoder"], ["predictor"], []),
        ("simsiam", ("method.predictor.hidden_dim=7",), ["encoder"], ["predictor"], ["predictor"]),
    ],
)
def test_parts_that_fit_are_taken_and_the_others_listed(
    method: str,
    more: tuple[str, ...],
    taken: list[str],
    not_taken: list[str],
    random: list[str],
    source: Path,
) -> None:
    built, theirs = fresh(method, *more), state_of(source)
    before = {name: value.clone() for name, value in built.state_dict().items()}
    record = take_weights(built, open_run(source))
    assert [record[key] for key in ("taken", "not_taken", "random")] == [taken, not_taken, random]
    assert record["epoch"] == 1
    assert record["config_hash"] == json.loads((source / "result.json").read_text())["config_hash"]
    for name, value in built.state_dict().items():
        expected = theirs[name] if name.partition(".")[0] in taken else before[name]
        assert torch.equal(value, expected), name


def test_the_hash_of_a_stage_has_the_hash_of_the_run_before_and_not_its_path(
    source: Path, tmp_path: Path
) -> None:
    shutil.copytree(source, tmp_path / "copy")
    first = json.loads((source / "result.json").read_text())
    there = open_run(tmp_path / "copy")
    assert start_hash(take_weights(fresh("simsiam"), open_run(source))) == first["config_hash"]
    assert start_hash(take_weights(fresh("simsiam"), there)) == first["config_hash"]
    # Its weights before its end are others: the digest tells them apart.
    middle = dataclasses.replace(there, config=dataclasses.replace(there.config, epochs=9), result=None)
    record = take_weights(fresh("simsiam"), middle)
    assert start_hash(record) == f"{config_hash(middle.config)}-{there.digest}"
    stage = compose([*overrides("simsiam"), f"start_from={source}"])
    other = compose([*overrides("simsiam"), "start_from=elsewhere"])
    assert config_hash(stage, start_hash(record)) == config_hash(other, start_hash(record))
    assert len({config_hash(stage), config_hash(other), config_hash(stage, first["config_hash"])}) == 3
    assert start_hash({"checkpoint": "of a run whose record is gone"}) is None


def test_weights_of_other_attention_heads_are_refused(tmp_path: Path) -> None:
    """Names and shapes are the same, and the features others; test_vit has 2."""
    vit = ("data=digits", "backbone.name=test_vit", "backbone.stem=standard", "augment.size=16")
    source = open_run(make(tmp_path / "vit", *vit, "backbone.num_heads=4"))
    small = compose([*SMALL, "method.predictor.hidden_dim=8", *vit])
    with pytest.raises(
        UserError, match=r"same attention heads; .* with 4 in each layer, and 2 here; .*num_heads=4$"
    ):
        take_weights(build(small, 1)[0], source)
    same = compose([*SMALL, "method.predictor.hidden_dim=8", *vit, "backbone.num_heads=4"])
    assert take_weights(build(same, 1)[0], source)["taken"] == ["encoder", "predictor"]


def test_a_target_encoder_begins_as_the_encoder_and_a_queue_as_ever(source: Path) -> None:
    moco = fresh("moco", "method.projector={layers: 2, bn_hidden: true, bn_output: true}")
    queue = moco.state_dict()["negatives.store.vectors"].clone()
    record = take_weights(moco, open_run(source))
    assert record["taken"] == ["encoder"]
    assert record["random"] == []
    state = moco.state_dict()
    for name, value in state_of(source).items():
        if name.startswith("encoder."):
            assert torch.equal(state[name], value)
            assert torch.equal(state[f"target_{name}"], value)
    assert torch.equal(state["negatives.store.vectors"], queue)


def test_a_stage_is_a_run_of_its_own_from_these_weights(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit the run that has the weights put in by hand: no momentum, no counter, no schedule is taken along."""
    stage = ["epochs=1", "monitor.baselines=false", "optimizer.lr=0.3"]
    result = ssl_zoo.train(
        overrides("simsiam", *stage, f"start_from={source}", f"run_dir={tmp_path / 'stage'}"), silent=True
    )
    assert result.steps == 5
    assert result.start_from is not None
    assert result.start_from["taken"] == ["encoder", "predictor"]
    assert (
        json.loads((tmp_path / "stage" / "environment.json").read_text())["start_from"] == result.start_from
    )
    assert open_run(tmp_path / "stage").config_hash == result.config_hash
    first, last = rows(tmp_path / "stage")[0], rows(source)[-1]
    for metric in ("output_std_ratio", "center_ratio", "effective_rank", "prediction_center_ratio"):
        assert float(first[metric]) == pytest.approx(float(last[metric]), rel=1e-5), (
            "the first row is of these weights"
        )

    def by_hand(*args: Any) -> Any:
        method, backbone = build(*args)
        method.load_state_dict(state_of(source))
        return method, backbone

    monkeypatch.setattr("ssl_zoo.training.prepare.build", by_hand)
    ssl_zoo.train(overrides("simsiam", *stage, f"run_dir={tmp_path / 'hand'}"), silent=True)
    ours, expected = state_of(tmp_path / "stage"), state_of(tmp_path / "hand")
    assert not torch.equal(
        ours["encoder.backbone.conv1.weight"], state_of(source)["encoder.backbone.conv1.weight"]
    )
    for name, value in expected.items():
        assert torch.equal(ours[name], value), name


def test_a_stopped_stage_continues_to_the_bit_without_the_run_it_began_with(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across losses: decorrelation alone after SimSiam, as in Zhang et al., Fig. 5b."""
    shutil.copytree(source, tmp_path / "one")
    stage = [
        PREDICTOR_OFF,
        "method.decorrelation={weight: 1, standardized: true, alone: true}",
        "optimizer.lr=0.01",
    ]
    run = overrides("simsiam", *stage, f"start_from={tmp_path / 'one'}", "monitor.baselines=false")
    whole = ssl_zoo.train([*run, f"run_dir={tmp_path / 'whole'}"], silent=True)
    inner = StopWhenAsked.on_train_batch_end

    def interrupting(self: StopWhenAsked, trainer: Any, module: Any, *rest: Any) -> None:
        if module.batches_done == 3:
            self.request.note(2, None)
        inner(self, trainer, module, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(StopWhenAsked, "on_train_batch_end", interrupting)
        with pytest.raises(Interrupted):
            ssl_zoo.train([*run, f"run_dir={tmp_path / 'parts'}"], silent=True)
    shutil.rmtree(tmp_path / "one")
    parts = ssl_zoo.train([f"run_dir={tmp_path / 'parts'}", "resume=auto"], silent=True)
    assert parts.steps == 10
    assert parts.start_from == whole.start_from
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    expected = state_of(tmp_path / "whole")
    for name, value in state_of(tmp_path / "parts").items():
        assert torch.equal(value, expected[name]), name
    with pytest.raises(UserError, match=r"start_from=.*other \(begun with .*one\)"):
        ssl_zoo.train([f"run_dir={tmp_path / 'parts'}", "resume=auto", "start_from=other"], silent=True)


@pytest.mark.processes
@pytest.mark.usefixtures("forked")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores")
def test_a_stage_in_two_processes_is_that_in_one(source: Path, tmp_path: Path) -> None:
    stage = overrides(
        "simsiam", f"start_from={source}", "epochs=1", "optimizer.lr=1e-3", "monitor.baselines=false"
    )
    two = ("trainer.devices=2", "trainer.accelerator=cpu")
    for name, processes in (("one", ()), ("two", two)):
        run = [*stage, *processes, "trainer.threads=1", f"run_dir={tmp_path / name}"]
        result = ssl_zoo.train(run, silent=True)
        assert result.start_from is not None
    expected, begun_with = state_of(tmp_path / "one"), state_of(source)
    for name, value in state_of(tmp_path / "two").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4, msg=name)
    name = "encoder.backbone.conv1.weight"
    assert 0 < (expected[name] - begun_with[name]).abs().max() < 0.01


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["start_from=nowhere"], "start_from takes a run directory or a checkpoint; received 'nowhere'"),
        (
            ["start_from=SOURCE", "method.projector.output_dim=8"],
            "needs a run with the same backbone and projector: every",
        ),
        (
            ["start_from=SOURCE", "backbone.name=resnet18"],
            "needs a run with the same backbone and projector: every",
        ),
        (["start_from=SOURCE", "backbone.pretrained=true"], "contradicts backbone.pretrained=true"),
        (["start_from=SOURCE", "resume=SOURCE"], "begun with start_from=None; set the same"),
    ],
)
def test_refusals_are_one_message_and_create_nothing(
    more: list[str], message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [change.replace("SOURCE", str(source)) for change in more]
    status = main(["train", *overrides("simsiam", f"run_dir={tmp_path / 'run'}"), *changes])
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
