"""The monitor in trainings of Lightning: it sees collapse, names its cause, and changes nothing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from torch.utils.data import DataLoader, TensorDataset

from ssl_zoo import CollapseMonitor, UserError
from ssl_zoo.standalone.last_steps import LastSteps, first_views
from ssl_zoo.standalone.modules import find_modules

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, of loaders without workers and the like
QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False,
}  # fmt: skip


class DrawingPool(nn.AdaptiveAvgPool2d):
    """Draws in evaluation mode too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.01 * torch.rand(1)


class Siamese(pl.LightningModule):
    """SimSiam on tiny images, with the faults that are planted."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.pool = DrawingPool(2) if fault == "draws" else nn.AdaptiveAvgPool2d(2)
        self.projection_head = nn.Sequential(
            nn.Linear(32, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16)
        )
        self.prediction_head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 16))

    def encode(self, x: Tensor) -> Tensor:
        f = self.pool(self.backbone(x)).flatten(1)
        z: Tensor = self.projection_head(2.0 * f if self.fault == "in between" else f)
        return z

    def on_train_epoch_end(self) -> None:
        pickle.dumps(self.backbone)  # as some scripts do

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (x,) = batch
        z = [self.encode(x + 0.5 * torch.randn_like(x)) for _ in range(2)]
        p = z if self.fault == "no predictor" else [self.prediction_head(each) for each in z]
        target = z if self.fault in ("no stop-gradient", "no predictor") else [each.detach() for each in z]
        return -(cosine_similarity(p[0], target[1]).mean() + cosine_similarity(p[1], target[0]).mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1.0 if self.fault else 0.05, momentum=0.9)


def images(count: int = 70) -> DataLoader[Any]:
    """Smooth random images; the last batch is a small one."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 3, 3, generator=generator)
    return DataLoader(
        TensorDataset(nn.functional.interpolate(coarse, size=(8, 8), mode="bilinear")), batch_size=32
    )


def fit(fault: str = "", epochs: int = 2, monitor: CollapseMonitor | None = None, **options: Any) -> Siamese:
    torch.manual_seed(0)
    model = Siamese(fault)
    callbacks = [] if monitor is None else [monitor]
    pl.Trainer(max_epochs=epochs, callbacks=callbacks, **{**QUIET, **options}).fit(model, images())
    return model


@pytest.mark.parametrize(
    "options",
    [{}, {"accumulate_grad_batches": 2, "precision": "bf16-mixed"}],
    ids=["plain", "accumulated, bf16"],
)
@pytest.mark.parametrize("fault", ["", "in between", "draws"])
def test_the_training_is_the_same_to_the_bit(fault: str, options: dict[str, Any]) -> None:
    monitor = CollapseMonitor(samples=48, quiet=True)
    with_it = fit(fault, monitor=monitor, **options)
    drawn = torch.rand(1)
    without = fit(fault, **options)
    assert torch.equal(drawn, torch.rand(1))
    for (name, a), b in zip(with_it.state_dict().items(), without.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert monitor._watched.mode == ("training mode" if fault == "in between" else "evaluation mode")
    assert not any(module._forward_hooks for module in with_it.modules())
    assert len(monitor.rows) == 2


def test_a_collapse_ends_the_training_with_its_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = CollapseMonitor(stop=True, patience=2, out=tmp_path / "new" / "collapse.json")
    trained = fit("no stop-gradient", epochs=60, monitor=monitor)
    diagnosis = monitor.diagnosis
    assert diagnosis is not None
    assert (diagnosis.verdict, str(diagnosis.cause).partition(":")[0]) == ("collapsed", "no stop-gradient")
    assert monitor.collapsed_epoch is not None
    assert diagnosis.epochs == monitor.collapsed_epoch + 1 == trained.current_epoch < 60
    written = json.loads((tmp_path / "new" / "collapse.json").read_text(encoding="utf-8"))
    assert written["verdict"] == "collapsed"
    assert [row["epoch"] for row in written["epochs_measured"]] == list(range(1, diagnosis.epochs + 1))
    printed = capsys.readouterr().out
    assert printed.count(f"collapsed in epoch {monitor.collapsed_epoch}") == 1
    assert "in evaluation mode" in printed
    assert "to try: detach the targets" in printed


def test_a_healthy_training_is_left_to_its_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monitor = CollapseMonitor(stop=True)
    trained = fit(epochs=8, monitor=monitor)
    assert monitor.diagnosis is not None
    assert (monitor.diagnosis.verdict, monitor.collapsed_epoch) == ("healthy", None)
    assert trained.current_epoch == 8
    assert "likely cause" not in capsys.readouterr().out
    assert not list(tmp_path.iterdir())  # there is no logger


def test_metrics_are_logged_for_other_callbacks_and_rows_come_back_with_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    monitor, model = CollapseMonitor(quiet=True, out=tmp_path / "c.json"), Siamese()
    trainer = pl.Trainer(max_epochs=1, callbacks=[monitor], **QUIET)
    trainer.fit(model, images())
    logged = trainer.callback_metrics["collapse/output_std_ratio"]
    assert float(logged) == pytest.approx(monitor.rows[0]["output_std_ratio"], rel=1e-6)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = CollapseMonitor(quiet=True, out=tmp_path / "c.json")
    longer = pl.Trainer(max_epochs=2, callbacks=[again], **QUIET)
    longer.fit(model, images(), ckpt_path=tmp_path / "one.ckpt")
    assert again.rows[0] == monitor.rows[0]
    assert [row["epoch"] for row in again.rows] == [1, 2]


def test_wrong_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        UserError, match=r"outputs='projector' is no module of Siamese; there are backbone,.*head"
    ):
        fit(monitor=CollapseMonitor("projector", quiet=True))
    with pytest.raises(UserError, match=r"received \(32, 8, 6, 6\) from 'backbone'"):
        fit(monitor=CollapseMonitor("backbone", quiet=True))
    with pytest.raises(UserError, match="the training step did not call"):
        fit("no predictor", monitor=CollapseMonitor("prediction_head", quiet=True))
    with pytest.raises(UserError, match="patience must be at least 1; received 0"):
        CollapseMonitor(patience=0)
    with pytest.raises(UserError, match="out must be a file; received the folder"):
        CollapseMonitor(out=Path())


def test_a_module_of_two_names_is_found_by_either() -> None:
    model = Siamese()
    model.both = nn.Sequential(model.backbone, model.projection_head)
    found = find_modules(model, {"embeddings": "both.1"})
    assert found["embeddings"] == ("both.1", model.projection_head)


class Uneven(Siamese):
    """Skips its first step, has a loss that is not finite but changes nothing, and is interrupted."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 0 and batch_idx == 0:
            return None
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if self.global_step == 3 else loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0)


def test_a_step_left_out_a_loss_of_nan_and_an_interrupt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    monitor = CollapseMonitor(out=tmp_path / "c.json")
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        pl.Trainer(max_epochs=5, callbacks=[monitor], **QUIET).fit(Uneven(), images())
    assert [row["epoch"] for row in monitor.rows] == [1, 2]
    assert monitor.diagnosis is not None
    assert monitor.diagnosis.verdict != "diverged"
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["epochs"] == 2
    assert f"results: {tmp_path / 'c.json'}" in capsys.readouterr().out


def test_two_monitors_of_a_training_keep_their_figures_apart() -> None:
    torch.manual_seed(0)
    monitors = [CollapseMonitor(name, quiet=True) for name in ("projection_head", "projection_head.0")]
    trainer = pl.Trainer(max_epochs=1, callbacks=[*monitors], **QUIET)
    trainer.fit(Siamese(), images())
    for name, monitor in zip(("projection_head", "projection_head.0"), monitors, strict=True):
        logged = trainer.callback_metrics[f"collapse-{name}/output_std_ratio"]
        assert float(logged) == pytest.approx(monitor.rows[0]["output_std_ratio"], rel=1e-6)


def test_a_trainer_that_goes_on_keeps_the_epochs_it_had() -> None:
    monitor, model = CollapseMonitor(quiet=True), Siamese()
    trainer = pl.Trainer(max_epochs=1, callbacks=[monitor], **QUIET)
    trainer.fit(model, images())
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model, images())
    assert [row["epoch"] for row in monitor.rows] == [1, 2]


def test_last_steps_of_equal_weights_are_measured_together_and_a_small_last_batch_with_them() -> None:
    steps = LastSteps(images=125)
    for number, rows in ((0, 64), (1, 20), (1, 20), (2, 40), (3, 40), (4, 5)):
        z = torch.full((rows, 2), float(number))
        steps.add(number, first_views([z, z + 1, z[:, :1]], 1), [])
        z += 9  # what the script does to its tensors later
    groups = [[float(row) for row in first.z[:, 0]] for first, _ in steps.groups()]
    assert groups == [[1.0] * 40, [2.0] * 40, [3.0] * 40 + [4.0] * 5]
    assert all(torch.equal(first.z + 1, second.z) for first, second in steps.groups())


class OwnNames(pl.LightningModule):
    """One encoder for both views at once, by a name of its own, in a script that steps by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def training_step(self, batch: Any, batch_idx: int) -> None:
        (x,) = batch
        z0, z1 = self.encoder(torch.cat((x, x + 0.1 * torch.randn_like(x)))).chunk(2)
        loss = -cosine_similarity(z0, z1).mean()
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("joint", [1, 2])
def test_scripts_that_step_by_themselves_and_join_the_views(joint: int) -> None:
    monitor = CollapseMonitor("encoder", views_per_call=joint, quiet=True)
    pl.Trainer(max_epochs=1, callbacks=[monitor], **QUIET).fit(OwnNames(), images())
    assert ("alignment" in monitor.rows[0]) is (joint == 2)
    assert monitor.diagnosis is not None
    assert monitor.diagnosis.images == 140 // joint
