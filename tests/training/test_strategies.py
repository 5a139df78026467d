"""Strategies that divide what DDP keeps in each process: the same run, and the same checkpoints."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import TINY, overrides
from helpers.strategy_runs import MEASURED, RUNS, STAGES, STOPPED, TWO, VIT

import ssl_zoo
from ssl_zoo.build import build
from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.checkpoints import read_checkpoint
from ssl_zoo.training.divided_bytes import divided_bytes
from ssl_zoo.training.footprint import footprint
from ssl_zoo.training.sharded_weights import _without_weights

two_processes = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, forked: None) -> Path:
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


def rows(run: Path) -> list[dict[str, float]]:
    """`metrics.csv` without times; nan where a cell is empty."""
    with (run / "metrics.csv").open() as file:
        return [
            {key: float(value or "nan") for key, value in row.items() if key != "views_per_second"}
            for row in csv.DictReader(file)
        ]


def differences(a: Any, b: Any, path: str = "", rounding: float = 0.0) -> list[str]:
    """The paths at which two checkpoints differ, but for what holds times and names of folders.

    Args:
        a: checkpoint, or part of one.
        b: another.
        path: of the part.
        rounding: up to which tensors are equal, relative to the largest entry, at least 1e-2.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        passed = {"callbacks", "ssl_zoo"} if not path else set()
        parts = [(key, a.get(key), b.get(key)) for key in sorted({*a, *b} - passed, key=str)]
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        parts = [(n, x, y) for n, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        largest = max(1e-2, float(b.abs().max()))
        return [] if float((a - b).abs().max()) <= rounding * largest else [path]
    else:
        return [] if a == b else [path]
    return [line for key, x, y in parts for line in differences(x, y, f"{path}/{key}", rounding)]


class TestRuns:
    pytestmark = two_processes

    @pytest.mark.parametrize("strategy", ["zero1", "fsdp"])
    @pytest.mark.parametrize("name", RUNS)
    def test_a_run_is_that_of_ddp(self, name: str, strategy: str, runs: Path) -> None:
        """To the bit. With fsdp up to the order of sums in LARS' norms, in accumulated means and in lengths."""
        ddp, other = (runs / f"{name}-{kind}" for kind in ("ddp", strategy))
        assert saved(ddp)["optimizer_states"][0]["state"]
        exact = strategy == "zero1" or name in ("byol", "moco", "mocov3")
        assert differences(saved(other), saved(ddp), rounding=0.0 if exact else 1e-5) == []
        for key in ("config_hash", "verdict", "knn_top1"):
            assert result(other)[key] == result(ddp)[key], key
        for row, expected in zip(rows(other), rows(ddp), strict=True):
            assert row == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)
        losses = [[row["loss"] for row in rows(run)[1:]] for run in (other, ddp)]
        assert len(losses[0]) == 2
        assert not exact or losses[0] == losses[1]

    @pytest.mark.parametrize("stages", ["-then-".join(stages) for stages in STAGES])
    def test_a_run_goes_on_under_another_strategy(self, stages: str, runs: Path) -> None:
        assert len(json.loads((runs / stages / "environment.json").read_text())["continued"]) == 1
        assert differences(saved(runs / stages), saved(runs / f"{STOPPED}-ddp")) == []

    @pytest.mark.parametrize("strategy", MEASURED)
    def test_a_run_whose_training_had_ended_is_measured(self, strategy: str, runs: Path) -> None:
        again, whole = runs / f"{strategy}-then-measured", runs / f"{STOPPED}-{strategy}"
        assert differences(saved(again), saved(whole)) == []
        for key in ("verdict", "loss", "knn_top1"):
            assert result(again)[key] == result(whole)[key], key

    def test_export_and_evaluation_read_a_run_whose_weights_were_divided(self, runs: Path) -> None:
        run = runs / "byol-fsdp"
        for export in ("timm", "safetensors"):
            assert cli.main(["export", f"run={run}", f"format={export}", f"out={runs / export}"]) == 0
        assert cli.main(["eval", f"run={run}", "protocol=knn"]) == 0

    @pytest.mark.parametrize(
        ("planted", "message"),
        [
            ("replaced", "may change in place alone; the method has put another tensor in the place of one"),
            ("whole", "computes with one outside its forward pass"),
        ],
    )
    def test_a_method_that_takes_weights_for_whole_is_refused(
        self, planted: str, message: str, runs: Path
    ) -> None:
        for rank in (0, 1):
            text = (runs / f"{planted}-{rank}.txt").read_text()
            assert message in text
            assert "set trainer.strategy=zero1" in text


def test_the_copy_that_is_measured_takes_no_memory_before() -> None:
    """But for the labels, which no checkpoint has."""
    run = overrides(
        "moco",
        "method.negatives=memory_bank",
        "method.assignment=memory",
        "method.momentum_encoder.enabled=false",
    )
    method = build(compose(run), 1)[0]
    method.allocate(1000)
    saved = method.state_dict()
    copied = _without_weights(method)
    assert {name for name, value in copied.state_dict().items() if not value.is_meta} == set()
    copied.load_state_dict(saved, assign=True)
    assert copied.state_dict().keys() == saved.keys()
    assert all(torch.equal(value, saved[name]) for name, value in copied.state_dict().items())

    supervised = build(compose(["method=supervised", *TINY]), 1)[0]
    supervised.take_labels(torch.arange(10), 10)
    assert torch.equal(_without_weights(supervised).labels, torch.arange(10))  # type: ignore[arg-type]


def test_what_is_not_right_under_fsdp_is_refused() -> None:
    run = overrides("simsiam", "trainer.strategy=fsdp")
    with pytest.raises(UserError, match="fsdp contradicts compile=true"):
        compose([*run, "compile=true"])
    with pytest.raises(UserError, match="fsdp contradicts precision=fp16"):
        compose([*run, "precision=fp16"])


def test_the_estimate_knows_who_keeps_what() -> None:
    """AdamW's two values a weight: half of them, and at most the largest tensor more."""
    run = overrides("simsiam", *TWO, "optimizer.name=adamw")
    ddp, zero1 = compose(run), compose([*run, "trainer.strategy=zero1"])
    data = load_data(ddp.data)
    less = footprint(ddp, data).kept - footprint(zero1, data).kept
    sizes = [p.nbytes for p in ssl_zoo.build_method(run).parameters() if p.requires_grad]
    assert 0 < sum(sizes) - 2 * max(sizes) - 8 <= less <= sum(sizes)


def test_what_is_divided_is_left_to_the_others() -> None:
    """Each tensor of the backbone cut into rows, of which the first process keeps the first part."""
    config = compose(overrides("byol", *VIT, *TWO, "optimizer.name=adamw", "trainer.strategy=fsdp"))
    method = build(config, 1)[0]
    backbone = method.encoder.backbone
    others = sum(p.nbytes - p.detach().chunk(2)[0].nbytes for p in backbone.parameters())
    # Weight, gradient and AdamW's two values; of the momentum encoder the weight.
    elsewhere, gathered = divided_bytes(config, method, states=2)
    assert elsewhere == 5 * others
    block = sum(p.nbytes for p in backbone.blocks[0].parameters())
    assert 2 * block <= gathered < sum(p.nbytes for p in backbone.parameters())
    assert divided_bytes(compose(overrides("byol", *VIT, *TWO)), method, states=2) == (0, 0)


@pytest.mark.parametrize("strategy", ["zero1", "fsdp"])
def test_nothing_is_divided_in_one_process(strategy: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"strategy={strategy} divides a run among processes; received one"):
        ssl_zoo.train(overrides("simsiam", f"trainer.strategy={strategy}", f"run_dir={tmp_path / 'run'}"))
    assert not list(tmp_path.iterdir())
