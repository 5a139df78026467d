"""Strategies that divide what DDP keeps in each process: the same run, and the same checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import overrides
from helpers.strategy_runs import RUNS, STOPPED, TWO

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.runs.checkpoints import read_checkpoint
from ssl_zoo.training.footprint import footprint

two_processes = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all runs."""
    out = tmp_path_factory.mktemp("strategies")
    done = subprocess.run(
        [sys.executable, "-m", "helpers.strategy_runs", str(out)],
        cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def saved(run: Path) -> dict[str, Any]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")


def result(run: Path) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((run / "result.json").read_text())
    return contents


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """The paths at which two checkpoints differ, but for what holds times and names of folders."""
    if isinstance(a, dict) and isinstance(b, dict):
        parts = [(key, a.get(key), b.get(key)) for key in sorted({*a, *b}, key=str)]
        passed = {"callbacks", "ssl_zoo"} if not path else set()
        return [
            line for key, x, y in parts if key not in passed for line in differences(x, y, f"{path}/{key}")
        ]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            line
            for n, (x, y) in enumerate(zip(a, b, strict=True))
            for line in differences(x, y, f"{path}/{n}")
        ]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [path]
    return [] if a == b else [path]


class TestRuns:
    pytestmark = two_processes

    @pytest.mark.parametrize("name", RUNS)
    def test_zero1_is_ddp_to_the_bit(self, name: str, runs: Path) -> None:
        """Each tensor is stepped whole, in one process; queue, momentum encoder, clipping and accumulation with it."""
        ddp, zero1 = (runs / f"{name}-{strategy}" for strategy in ("ddp", "zero1"))
        assert saved(ddp)["optimizer_states"][0]["state"]
        assert differences(saved(zero1), saved(ddp)) == []
        for key in ("loss", "config_hash", "knn_top1", "verdict", "encoder_gradient_norm"):
            assert result(zero1)[key] == result(ddp)[key]

    @pytest.mark.parametrize("stages", ["zero1-then-ddp", "ddp-then-zero1", "zero1-then-zero1"])
    def test_a_run_goes_on_under_another_strategy(self, stages: str, runs: Path) -> None:
        assert len(json.loads((runs / stages / "environment.json").read_text())["continued"]) == 1
        assert differences(saved(runs / stages), saved(runs / f"{STOPPED}-ddp")) == []


def test_the_estimate_knows_who_keeps_what() -> None:
    """AdamW's two values a weight: half of them, and at most the largest tensor more."""
    run = overrides("simsiam", *TWO, "optimizer.name=adamw")
    ddp, zero1 = compose(run), compose([*run, "trainer.strategy=zero1"])
    data = load_data(ddp.data)
    less = footprint(ddp, data).kept - footprint(zero1, data).kept
    sizes = [p.nbytes for p in ssl_zoo.build_method(run).parameters() if p.requires_grad]
    assert 0 < sum(sizes) - 2 * max(sizes) - 8 <= less <= sum(sizes)
