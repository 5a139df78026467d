"""On a GPU: every method trains, never waits within a step, and continues to the bit, compiled or not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from helpers.runs import SIAMESE_METHODS
from helpers.runs import overrides as tiny
from ssl_zoo.benchmarks.speed.step_clock import observed

import ssl_zoo
from ssl_zoo.data import memory_split
from ssl_zoo.run_dir.result import Result

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings("default"),  # the compiler has advice to give
]
QUICK = ("precision=bf16", "monitor.baselines=false")


def train(run_dir: Path, *more: str, method: str = "simsiam") -> Result:
    return ssl_zoo.train(tiny(method, "trainer.accelerator=gpu", f"run_dir={run_dir}", *more), silent=True)


def weights(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return found


def assert_equal(a: Path, b: Path) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("method", SIAMESE_METHODS)
def test_a_method_trains(method: str, precision: str, tmp_path: Path) -> None:
    result = train(tmp_path / "run", f"precision={precision}", method=method)
    assert result.loss is not None
    assert math.isfinite(result.loss)
    assert result.knn_top1 is not None
    assert result.knn_top1 > 0.2, "ten classes"
    made = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (made["device"], made["precision"]) == (torch.cuda.get_device_name(), precision)


class NoWaiting(pl.Callback):
    """From the end of the second batch to the start of the last nothing may wait for the GPU."""

    clock = None
    batches = 0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == trainer.num_training_batches - 1:
            torch.cuda.set_sync_debug_mode("default")

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            torch.cuda.set_sync_debug_mode("error")
        self.batches += torch.cuda.get_sync_debug_mode() == 2


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("method", SIAMESE_METHODS)
def test_no_step_waits(method: str, resident: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_split, "_fits", lambda images, device: resident)
    callback: Any = NoWaiting()
    try:
        with observed(callback):
            train(tmp_path / "run", "epochs=1", "monitor.baselines=false", method=method)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert callback.batches == 3


def test_images_on_the_gpu_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for resident in (True, False):
        monkeypatch.setattr(memory_split, "_fits", lambda images, device, resident=resident: resident)
        train(tmp_path / str(resident), "epochs=1", "monitor.baselines=false")
    assert_equal(tmp_path / "True", tmp_path / "False")


@pytest.mark.parametrize("method", ["byol", "swav"])
def test_a_resumed_run_is_the_same_to_the_bit(method: str, tmp_path: Path) -> None:
    train(tmp_path / "whole", *QUICK, method=method)
    halfway = tmp_path / "whole" / "checkpoints" / "previous.ckpt"
    train(tmp_path / "parts", *QUICK, f"resume={halfway}", method=method)
    assert_equal(tmp_path / "whole", tmp_path / "parts")


def test_a_compiled_run_learns_the_same_and_resumes_to_the_bit(tmp_path: Path) -> None:
    """BYOL, whose two encoders are compiled."""
    plain = train(tmp_path / "plain", *QUICK, method="byol")
    compiled = train(tmp_path / "whole", *QUICK, "compile=true", method="byol")
    assert plain.loss is not None
    assert compiled.loss == pytest.approx(plain.loss, abs=0.05)
    assert compiled.metrics["effective_rank"] == pytest.approx(plain.metrics["effective_rank"], rel=0.2)
    halfway = tmp_path / "whole" / "checkpoints" / "previous.ckpt"
    torch.compiler.reset()
    train(tmp_path / "parts", *QUICK, "compile=true", f"resume={halfway}", method="byol")
    assert_equal(tmp_path / "whole", tmp_path / "parts")
