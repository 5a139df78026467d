"""Loggers that write to the run directory: TensorBoard and CSV."""

from __future__ import annotations

import csv
import errno
from pathlib import Path

import pytest
from helpers.runs import overrides
from ssl_zoo.benchmarks.compare_runs import events
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.summary.writer import event_file_writer

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.training.loggers import CsvFile, TensorBoard


def test_csv_gets_what_tensorboard_gets(tmp_path: Path) -> None:
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[tensorboard,csv]")
    result = ssl_zoo.train([*run, "trainer.log_every_steps=1"], silent=True)
    with (tmp_path / "run" / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    logged = {
        (name, int(row["step"])): float(value)
        for row in rows
        for name, value in row.items()
        if value and name not in ("step", "epoch/views_per_second")  # which `events` leaves out
    }
    assert set(logged) == set(events(tmp_path / "run" / "tensorboard"))
    assert [int(row["step"]) for row in rows] == list(range(1, result.steps + 1))
    assert logged["epoch/loss", result.steps] == result.loss
    assert logged["epoch/knn_top1", result.steps] == result.knn_top1, "measured after the training"


def test_csv_goes_on_where_the_checkpoint_is(tmp_path: Path) -> None:
    file = tmp_path / "csv" / "metrics.csv"
    killed = CsvFile(file)
    for step in (1, 2, 3):
        killed.log_metrics({"loss": step / 3}, step)
    killed.save()
    continued = CsvFile(file, step=2)
    continued.log_metrics({"loss": 9.0, "knn": 0.5}, 3)
    continued.finalize("success")
    with file.open() as lines:
        assert list(csv.reader(lines)) == [
            ["step", "loss", "knn"],
            ["1", repr(1 / 3), ""],
            ["2", repr(2 / 3), ""],
            ["3", "9.0", "0.5"],
        ]


def test_no_logger_is_enough(tmp_path: Path) -> None:
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "epochs=1", "trainer.loggers=[]")
    ssl_zoo.train([*run, "monitor.baselines=false"], silent=True)
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert (tmp_path / "run" / "metrics.csv").is_file()


def test_an_unknown_logger_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When the configuration is composed: a suite or `ssl-zoo config` refuses it too."""
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[wandbb]")
    for verb in ("config", "train"):
        assert cli.main([verb, *run]) == 2
        assert "did you mean 'wandb'?" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_name_and_earlier_names_are_taken() -> None:
    """Configurations of earlier versions name the classes of Lightning."""
    for written, names in {
        "csv": ("csv",),
        "[WandbLogger,csv,CSVLogger]": ("wandb", "csv"),
        "[TensorBoardLogger]": ("tensorboard",),
    }.items():
        assert compose([f"trainer.loggers={written}"]).trainer.loggers == names


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
    *_, line = capsys.readouterr().err.splitlines()  # after the progress
    assert (
        "No space left on device; free some space, or write to another disk; what was saved before is kept"
        in line
    )
    assert not (tmp_path / "run" / "result.json").exists()
    assert cli.main([*run, "resume=auto"]) == 0
    assert "epoch/knn_top1" in {name for name, _ in events(tmp_path / "run" / "tensorboard")}
