"""Other loggers of Lightning are plugged in by name; none of them changes what `metrics.csv` holds."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import get_args

import pytest
from helpers.runs import overrides
from pytorch_lightning import loggers as lightning
from ssl_zoo.benchmarks.compare_runs import events
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.summary.writer import event_file_writer

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema.trainer import LoggerName
from ssl_zoo.errors import UserError
from ssl_zoo.training.loggers import TensorBoard, check_loggers


def test_a_logger_of_lightning_gets_what_tensorboard_gets(tmp_path: Path) -> None:
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[tensorboard,CSVLogger]")
    result = ssl_zoo.train([*run, "trainer.log_every_steps=1"], silent=True)
    (file,) = (tmp_path / "run").glob("lightning_logs/*/metrics.csv")
    with file.open() as lines:
        logged = {
            (name, int(row["step"])): float(value)
            for row in csv.DictReader(lines)
            for name, value in row.items()
            if value and name != "step"
        }
    shown = events(tmp_path / "run" / "tensorboard")
    assert {key for key in shown if key in logged} == set(shown)
    assert logged["epoch/loss", result.steps] == result.loss
    assert logged["epoch/knn_top1", result.steps] == result.knn_top1, "measured after the training"


def test_no_logger_is_enough(tmp_path: Path) -> None:
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "epochs=1", "trainer.loggers=[]")
    ssl_zoo.train([*run, "monitor.baselines=false"], silent=True)
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert (tmp_path / "run" / "metrics.csv").is_file()


def test_an_unknown_logger_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When the configuration is composed: a suite or `ssl-zoo config` refuses it too."""
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[CVSLogger]")
    for verb in ("config", "train"):
        assert cli.main([verb, *run]) == 2
        assert "did you mean 'CSVLogger'?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_every_logger_of_lightning_can_be_named() -> None:
    assert set(lightning.__all__) - {"Logger"} <= set(get_args(LoggerName))


def test_a_logger_that_this_lightning_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(lightning, "CSVLogger")
    monkeypatch.setattr(lightning, "__all__", ["Logger", "WandbLogger"])
    with pytest.raises(
        UserError, match=r"of the installed .* has WandbLogger; received CSVLogger; choose another"
    ):
        check_loggers(compose(["trainer.loggers=[CSVLogger]"]))


def test_tensorboard_hides_later_steps_of_a_killed_start_and_an_earlier_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the names of one second end in a count: 10 stands before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(8))
    killed = TensorBoard(tmp_path)
    for step in (1, 2, 3):
        killed.log_metrics({"loss": float(step)}, step)
    killed.finalize("failed")
    killed.log_metrics({"measured": 1.0}, 3)
    killed.finalize("success")
    continued = TensorBoard(tmp_path, step=1)
    continued.log_metrics({"loss": 9.0}, 2)
    continued.finalize("success")
    continued.log_metrics({"measured": 2.0}, 2)
    continued.finalize("success")
    shown = {key: float(value) for key, value in events(tmp_path).items()}
    assert shown == {("loss", 1): 1.0, ("loss", 2): 9.0, ("measured", 2): 2.0}


def test_a_clock_that_was_set_back_brings_back_no_step_of_a_killed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard reads the files of a folder in the order of their names, which begin with the time."""
    for start, (step, day) in enumerate([(0, 3), (2, 1), (4, 1), (5, 2)]):
        monkeypatch.setattr("time.time", lambda day=day: 1e9 + 86_400 * day)
        logger = TensorBoard(tmp_path, step)
        for number in range(step, step + 4):
            logger.log_metrics({"loss": float(start)}, number + 1)
        logger.finalize("success")
    shown = events(tmp_path)
    assert [float(shown["loss", step]) for step in range(1, 10)] == [0, 0, 1, 1, 2, 3, 3, 3, 3]


def test_a_disk_that_is_full_for_the_last_figures_alone_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are written by a thread of TensorBoard's, once the training is over."""
    run = [
        "train",
        *overrides("simsiam", f"run_dir={tmp_path / 'run'}", "epochs=1", "monitor.baselines=false"),
    ]

    def full(self: object, file: bytes, *rest: object) -> None:
        if file.endswith(b".measured"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, file, *rest)

    write = gfile.LocalFileSystem._write
    with monkeypatch.context() as patch:
        patch.setattr(gfile.LocalFileSystem, "_write", full)
        assert cli.main(run) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "No space left on device; free some space, or write to another disk; what was saved before is kept"
        in line
    )
    assert not (tmp_path / "run" / "result.json").exists()
    assert cli.main([*run, "resume=auto"]) == 0
    assert "epoch/knn_top1" in {name for name, _ in events(tmp_path / "run" / "tensorboard")}
