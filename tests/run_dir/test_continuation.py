"""`run_dir=DIR resume=auto` is enough to go on, and what else is given must agree with the run."""

from __future__ import annotations

import copy
import csv
import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_mapping, to_yaml
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.run_dir.checkpoints import read_checkpoint
from ssl_zoo.run_dir.continuation import compose_run, forbidden_changes
from ssl_zoo.testing.stopping import stopped_after
from ssl_zoo.training.callbacks import EpochRows

pytestmark = pytest.mark.slow

RUN = overrides("byol", "monitor.baselines=false", "monitor.every_epochs=9", "epochs=3", "optimizer.lr=0.3")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run stopped after nine of fifteen steps, in a folder with a space, and its message."""
    run = tmp_path_factory.mktemp("stopped") / "my run"
    with stopped_after(9), pytest.raises(Interrupted) as output:
        ssl_zoo.train([*RUN, f"run_dir={run}"], silent=True)
    return run, str(output.value)


def rates(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row["lr"]) for row in csv.DictReader(file) if row["lr"]]


def test_what_an_interrupted_run_says_continues_it(
    stopped: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, output = stopped
    [*_, short] = output.split("to continue: ")
    assert shlex.split(short) == ["ssl-zoo", "train", f"run_dir={run}", "resume=auto"]
    shutil.copytree(run, tmp_path / "my run")
    monkeypatch.chdir(tmp_path)
    result = ssl_zoo.train(["run_dir=my run", "resume=auto", "monitor.every_epochs=2"], silent=True)
    assert (result.method, result.epochs, result.steps) == ("byol", 3, 15)
    config = yaml.safe_load(Path("my run/config.yaml").read_text())
    assert (config["optimizer"]["lr"], config["monitor"]["every_epochs"]) == (0.3, 2)
    begun = json.loads((run / "environment.json").read_text())
    now = json.loads(Path("my run/environment.json").read_text())
    assert now["command"] == begun["command"]
    assert [start["from"] for start in now["continued"]] == [[1, 4]]


def test_the_rate_of_a_row_is_that_of_its_last_step(stopped: tuple[Path, str]) -> None:
    """Of the first epoch: step 4, from 0, of 15."""
    [rate] = rates(stopped[0])
    peak = 0.3 * 32 / 256
    assert rate == pytest.approx(peak * (1 + math.cos(math.pi * 4 / 15)) / 2)


def test_a_run_may_grow(
    stopped: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped[0], run)
    assert main(["train", f"run_dir={run}", "resume=auto"]) == 0
    assert main(["train", f"run_dir={run}", "resume=auto", "epochs=4"]) == 0
    output = " ".join(capsys.readouterr().err.split())
    assert "epochs was 3 and is 4: from here on the schedules are those of 4 epochs" in output
    peak = 0.3 * 32 / 256
    assert f"continues with {peak * (1 + math.cos(math.pi * 3 / 4)) / 2:.3g} where it was 0;" in output
    assert rates(run)[-1] == pytest.approx(peak * (1 + math.cos(math.pi * 19 / 20)) / 2)
    assert json.loads((run / "result.json").read_text())["epochs"] == 4
    assert json.loads((run / "result-3-epochs.json").read_text())["epochs"] == 3
    assert yaml.safe_load((run / "config.yaml").read_text())["epochs"] == 4
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["ssl_zoo"]["position"] == [4, 0]


def test_the_first_step_of_a_longer_run_has_the_longer_schedules_rate(
    stopped: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seen = tmp_path / "run", []
    shutil.copytree(stopped[0], run)
    inner = EpochRows.on_train_batch_end

    def looking(self: EpochRows, trainer: Any, module: Any, *rest: Any) -> None:
        seen.append(module.lr)
        inner(self, trainer, module, *rest)

    monkeypatch.setattr(EpochRows, "on_train_batch_end", looking)
    ssl_zoo.train([f"run_dir={run}", "resume=auto", "epochs=4"], silent=True)
    assert seen[0] == pytest.approx(0.3 * 32 / 256 * (1 + math.cos(math.pi * 9 / 20)) / 2)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["optimizer.lr=0.5"], r"optimizer.lr=0.5 \(begun with 0.3\)"),
        (["method=moco"], r"method=moco \(begun with byol\)"),
        (["data=cifar10", "seed=1"], r"data=cifar10 \(begun with digits\), seed=1 \(begun with 0\)"),
        (["recipe=null"], r"recipe=null \(begun with digits/byol\)"),
        (["trainer.accumulate=2"], r"trainer.accumulate=2 \(begun with 1\)"),
        (["epochs=1"], "at least what a run has trained already, 2 .* set epochs=2"),
        (["optimizer.lr=fast"], "optimizer.lr"),
        (["optimizer.rate=1"], "did you mean"),
    ],
)
def test_what_disagrees_is_refused(more: list[str], message: str, stopped: tuple[Path, str]) -> None:
    run, _ = stopped
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=message):
        ssl_zoo.train([f"run_dir={run}", "resume=auto", *more], silent=True)
    assert before == {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}


def test_a_key_that_an_earlier_version_lacked_had_its_default(stopped: tuple[Path, str]) -> None:
    begun = to_mapping(compose_run([f"run_dir={stopped[0]}", "resume=auto"]))
    wanted = copy.deepcopy(begun)
    del begun["data"]["bit_depth"], begun["method"]["sharpening"]
    assert forbidden_changes(begun, wanted) == []
    wanted["data"]["bit_depth"], wanted["method"]["sharpening"]["temperature"] = 16, 0.04
    assert sorted(forbidden_changes(begun, wanted)) == [
        ("data.bit_depth", 8, 16),
        ("method.sharpening.temperature", None, 0.04),
    ]


def test_what_agrees_may_be_given(stopped: tuple[Path, str]) -> None:
    run, _ = stopped
    short = compose_run([f"run_dir={run}", "resume=auto"])
    assert compose_run([*RUN, f"run_dir={run}", "resume=auto"]) == short
    assert compose_run(["method=byol", "data=digits", "seed=0", f"run_dir={run}", "resume=auto"]) == short
    changed = compose_run([f"run_dir={run}", "resume=auto", "trainer.threads=1", "monitor.knn.k=3"])
    assert (changed.trainer.threads, changed.monitor.knn.k) == (1, 3)


def test_names_may_differ_where_nothing_else_does(tmp_path: Path) -> None:
    """Another row of a suite may have come to the same run."""
    config = to_mapping(compose(["method=simsiam", "data=digits"])) | {"recipe": None}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    given = ["method=simsiam", "data=digits", f"run_dir={tmp_path}", "resume=auto"]
    assert compose_run([*given, "recipe=digits/simsiam"]).recipe is None


def test_a_folder_without_a_run_is_no_run_to_continue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"run_dir={tmp_path / 'typo'}", "resume=auto", "epochs=9"]) == 2
    [output] = capsys.readouterr().err.splitlines()
    assert "there is none in" in output
    assert "method=simsiam data=digits" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["'~no such user/a'", "x" * 300])
def test_what_can_be_no_folder_is_none_to_continue(folder: str) -> None:
    with pytest.raises(UserError, match="run_dir must be a path"):
        compose_run([f"run_dir={folder}", "resume=auto"])


def test_a_configuration_that_cannot_be_read_needs_all_overrides(tmp_path: Path) -> None:
    """An earlier version's run goes on as it could: by the overrides that it was begun with."""
    (tmp_path / "config.yaml").write_text(to_yaml(compose(RUN)) + "of_an_earlier_version: 1\n")
    given = [f"run_dir={tmp_path}", "resume=auto"]
    with pytest.raises(UserError, match=r"cannot be read .*of_an_earlier_version"):
        compose_run(given)
    assert compose_run([*RUN, *given]).optimizer.lr == 0.3
