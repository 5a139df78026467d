"""Collapse during training: noticed in its epoch, reported once, and the end of the run where that is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from helpers.runs import overrides
from training.test_train import metrics

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.metrics import Embeddings
from ssl_zoo.monitors.evidence import residual_energy
from ssl_zoo.monitors.verdict import COLLAPSED_ENERGY, SETTLED_STEPS
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.training.collapse import NoticeCollapse
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.prepare import prepare

# Weight decay and learning rate multiply to 1: each step takes all weights away, and all embeddings become equal.
WEIGHTLESS = (
    "batch_size=16", "monitor.every_epochs=100", "trainer.threads=1", "optimizer.name=sgd", "optimizer.lr=1e-4",
    "optimizer.weight_decay=1e4", "optimizer.momentum=0", "optimizer.schedule=constant", "monitor.baselines=false",
)  # fmt: skip
EPOCH = 6  # of ten steps: the first in which BN's running means are settled


class Figures:
    """An evaluator that returns what it is given."""

    def __init__(self, estimates: list[float], measured: list[float] | None = None) -> None:
        self.estimates, self.measured = iter(estimates), iter(measured or [])
        self.full = 0

    def estimate_energy(self, method: Any) -> float:
        return next(self.estimates)

    def measure(self, method: Any, *, knn: bool, probe: bool) -> Any:
        self.full += 1
        return SimpleNamespace(row={"center_ratio": (1 - next(self.measured)) ** 0.5})


def noticed(
    estimates: list[float], measured: list[float], *, settled: bool = True, stop: bool = False
) -> Any:
    """Returns the epoch in which a run with these residual energies, the untrained encoder's first, is collapsed."""
    figures = Figures(estimates, measured)
    reported: list[str] = []
    epochs: Any = SimpleNamespace(rows=[{"epoch": 0}], collapsed_epoch=None, ended=False)
    callback = NoticeCollapse(epochs, figures, stop=stop, report=reported.append)  # type: ignore[arg-type]
    module: Any = object.__new__(TrainingModule)
    pl.LightningModule.__init__(module)
    module.method, module.batches_done = torch.nn.Identity(), 0
    trainer: Any = SimpleNamespace(
        should_stop=False, current_epoch=0, global_step=SETTLED_STEPS - (not settled)
    )
    callback.on_train_start(trainer, module)
    for epoch in range(len(estimates) - 1):
        trainer.current_epoch = epoch
        epochs.rows.append({"epoch": epoch + 1})
        callback.on_train_epoch_end(trainer, module)
        if trainer.should_stop:
            assert epochs.ended
            break
    assert len(reported) == (epochs.collapsed_epoch is not None)
    return epochs.collapsed_epoch, figures.full, trainer.should_stop


def test_a_fall_below_the_threshold_is_a_collapse() -> None:
    assert noticed([0.02, 0.5, 1e-3, 1e-4], [1e-3, 1e-4]) == (2, 1, False)  # reported once
    assert noticed([0.02, 0.5, 1e-3, 1e-4], [1e-3], stop=True) == (2, 1, True)
    assert noticed([0.02, 0.5, 0.1, 0.01], []) == (None, 0, False)


def test_an_estimate_is_confirmed_by_a_measurement() -> None:
    assert noticed([0.02, 0.5, 1e-3, 1e-3], [0.01, 1e-3]) == (3, 2, False)


def test_an_untrained_cone_is_no_collapse() -> None:
    """It must be left first, or narrowed to half of what it was."""
    assert noticed([1e-3, 1e-3, 9e-4, 0.5, 0.9], []) == (None, 0, False)
    assert noticed([1e-3, 1e-3, 4e-4], [4e-4]) == (2, 1, False)
    assert noticed([1e-3, 0.1, COLLAPSED_ENERGY * 0.9], [COLLAPSED_ENERGY * 0.9]) == (2, 1, False)


def test_running_means_must_have_settled() -> None:
    assert 0.9**SETTLED_STEPS < COLLAPSED_ENERGY < 0.9 ** (SETTLED_STEPS - 1)
    assert noticed([0.02, 1e-4, 1e-4], [], settled=False) == (None, 0, False)


def test_a_run_that_went_on_after_its_collapse_keeps_the_first_epoch_when_it_is_ended() -> None:
    reported: list[str] = []
    rows: list[Any] = [{"epoch": 0}, {"epoch": 7}]
    epochs: Any = SimpleNamespace(rows=rows, collapsed_epoch=3, ended=False)  # 3: before `stop` was asked for
    figures: Any = Figures([1e-4], [1e-4])
    callback = NoticeCollapse(epochs, figures, stop=True, report=reported.append)
    callback.load_state_dict({"highest": 0.5})
    module: Any = object.__new__(TrainingModule)
    pl.LightningModule.__init__(module)
    module.method, module.batches_done = torch.nn.Identity(), 70
    trainer: Any = SimpleNamespace(should_stop=False, current_epoch=7, global_step=80)
    callback.on_train_start(trainer, module)
    assert not trainer.should_stop
    rows.append({"epoch": 8})
    callback.on_train_epoch_end(trainer, module)
    assert (trainer.should_stop, epochs.ended, epochs.collapsed_epoch) == (True, True, 3)
    assert [text.partition(":")[0] for text in reported] == ["collapsed in epoch 8"]

    again = NoticeCollapse(
        epochs, figures, stop=True, report=reported.append
    )  # begun once more: nothing to train
    again.load_state_dict(callback.state_dict())
    trainer.should_stop = False
    again.on_train_start(trainer, module)
    assert trainer.should_stop


def test_embeddings_that_are_not_finite_are_no_collapse() -> None:
    assert noticed([0.02, float("nan"), float("nan")], []) == (None, 0, False)


@pytest.mark.slow
def test_the_estimate_is_that_of_the_embeddings(tmp_path: Path) -> None:
    ready = prepare(compose(overrides("simsiam", f"run_dir={tmp_path}", "monitor.samples=160")))
    assert isinstance(ready.evaluator, Evaluator)
    estimate = ready.evaluator.estimate_energy(ready.method)
    assert estimate == ready.evaluator.estimate_energy(ready.method)
    assert ready.method.training
    measured = residual_energy(ready.evaluator.measure(ready.method, knn=False, probe=False).diagnostics)
    assert estimate == pytest.approx(measured, rel=0.5)
    unit = Embeddings(torch.randn(8, 100_000, generator=torch.Generator().manual_seed(0))).unit
    n = len(unit)
    assert float(1 - unit.mean(dim=0).square().sum()) * n / (n - 1) == pytest.approx(1, abs=0.01)  # no bias


@pytest.mark.slow
def test_a_collapse_is_noticed_in_its_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    result = ssl_zoo.train(overrides("simclr", f"run_dir={run}", *WEIGHTLESS, "epochs=8"))
    assert (result.verdict, result.epochs, result.collapsed_epoch) == ("collapsed", 8, EPOCH)
    shown = " ".join(capsys.readouterr().err.split())
    assert shown.count(f"collapsed in epoch {EPOCH}: residual energy ") == 1
    rows = metrics(run)
    assert [row["epoch"] for row in rows if row["center_ratio"]] == ["0", str(EPOCH), "8"]


@pytest.mark.slow
def test_stop_on_collapsed_ends_the_run_with_its_result(tmp_path: Path) -> None:
    run = overrides("simclr", f"run_dir={tmp_path / 'run'}", *WEIGHTLESS, "epochs=9")
    stopped = ssl_zoo.train([*run, "monitor.stop_on=collapsed"], silent=True)
    assert (stopped.verdict, stopped.epochs, stopped.collapsed_epoch) == ("collapsed", EPOCH, EPOCH)
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (saved["verdict"], saved["epochs"], saved["steps"]) == ("collapsed", EPOCH, 10 * EPOCH)
    assert open_run(tmp_path / "run").is_last, "its report has the verdict"
    again = ssl_zoo.train([f"run_dir={tmp_path / 'run'}", "resume=auto"], silent=True)
    assert (again.epochs, again.steps, again.loss) == (stopped.epochs, stopped.steps, stopped.loss)
    further = ssl_zoo.train(
        [f"run_dir={tmp_path / 'run'}", "resume=auto", "monitor.stop_on=null"], silent=True
    )
    assert (further.epochs, further.collapsed_epoch) == (9, EPOCH)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.usefixtures("forked")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores")
def test_two_processes_stop_together(tmp_path: Path) -> None:
    two = ("trainer.devices=2", "trainer.accelerator=cpu", "monitor.stop_on=collapsed", "epochs=9")
    result = ssl_zoo.train(overrides("simclr", f"run_dir={tmp_path / 'run'}", *WEIGHTLESS, *two), silent=True)
    assert (result.verdict, result.epochs, result.collapsed_epoch) == ("collapsed", EPOCH, EPOCH)
