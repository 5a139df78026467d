"""What the causes of a bad verdict are told, and what a person then sees."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.metrics import measure_embeddings
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.training.closing_table import closing_lines, closing_table
from ssl_zoo.training.facts import gather_facts, reference_of
from ssl_zoo.training.measurement import Measurement, Scores
from ssl_zoo.training.prepare import prepare

TINY = (
    "data.limit=64", "backbone.name=test_resnet", "augment.size=8", "batch_size=16", "precision=fp32",
    "method.projector.hidden_dim=16", "method.projector.output_dim=16", "method.predictor.hidden_dim=16",
    "monitor.knn.k=5", "monitor.probe.draws=2", "trainer.threads=1", "trainer.loggers=[]", "trainer.progress=false",
    "trainer.memory_check=false", "monitor.baselines=false",
)  # fmt: skip


def test_the_reference_is_the_run_without_its_overrides() -> None:
    config = compose(["method=byol", "optimizer.lr=9", "batch_size=7", "method.predictor.kind=identity"])
    assert reference_of(config) == compose(["method=byol"])
    experiment = ["experiment=cifar10/simsiam", "data=cifar10"]
    assert reference_of(compose([*experiment, "epochs=3"])) == compose(experiment)
    small = ["method=moco", "data=cifar10", "recipe=small"]
    assert reference_of(compose([*small, "epochs=3"])) == compose(small)
    assert reference_of(compose(["data.name=mine", "epochs=3"])) == compose([])


def test_facts_of_a_run(tmp_path: Path) -> None:
    ready = prepare(compose(["method=simsiam", *TINY, f"run_dir={tmp_path / 'run'}"]))
    z = ready.method.encoder.forward(next(ready.data.train.plain_batches(8, 16)).float())
    measured = Measurement(measure_embeddings(z, z), Scores())
    rows = [
        {"epoch": 0, "step": 0},
        {"epoch": 1, "step": 4, "loss": -0.5},
        {"epoch": 2, "step": 8, "loss": -0.6},
    ]
    facts = gather_facts(ready, rows, "collapsed", measured)  # type: ignore[arg-type]
    assert (facts.epochs, facts.steps, facts.images, facts.classes) == (2, 8, 64, 10)
    assert facts.losses == (-0.5, -0.6)
    assert facts.peak_lr == pytest.approx(ready.config.optimizer.lr * 16 / 256)
    assert facts.reference == compose(["method=simsiam"])
    assert facts.pixel_spread == pytest.approx(0.75, abs=0.25)  # 0.74 over all 1,437 images
    assert facts.pixel_mean == pytest.approx(0.0, abs=0.25)
    assert facts.unreadable == 0.0


@pytest.mark.slow
def test_a_bad_verdict_is_explained_where_a_person_looks(tmp_path: Path) -> None:
    for number in range(60):
        file = tmp_path / "gray" / str(number % 2) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 128).save(file)
    result = ssl_zoo.train(
        ["method=simsiam", "data=imagefolder", f"data.train={tmp_path / 'gray'}", "data.channels=1", "data.holdout=0.2",
         "epochs=1", *TINY[1:], "monitor.baselines=true", f"run_dir={tmp_path / 'run'}"],
        silent=True,
    )  # fmt: skip
    assert result.verdict != "healthy"
    assert result.cause is not None
    assert result.cause.startswith("images all alike: ")
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (written["cause"], written["remedy"]) == (result.cause, result.remedy)
    assert result.cause[:40] in _shown(result)
    assert closing_lines(result).plain == (
        f"{result.verdict.upper()} {result.verdict_reason}\nlikely cause: {result.cause}\nto try: {result.remedy}"
    )
    assert "likely cause" not in _shown(dataclasses.replace(result, verdict="healthy", cause=None))


@pytest.mark.parametrize(
    ("std", "shown"), [(0.046, "29.0 % ± 4.6"), (float("nan"), "29.0 %"), (None, "29.0 %")]
)
def test_the_closing_table_has_a_spread_only_where_labels_were_drawn_twice(
    std: float | None, shown: str
) -> None:
    fields: dict[str, Any] = {field.name: None for field in dataclasses.fields(Result)}
    fields |= {
        "metrics": {},
        "verdict": "healthy",
        "verdict_reason": "",
        "train_seconds": 0.0,
        "peak_memory_mb": 0.0,
    }
    result = Result(
        **fields | {"baselines": Baselines(), "run_dir": "run", "linear_top1": 0.29, "linear_top1_std": std}
    )
    [row] = [line for line in _shown(result).splitlines() if "linear probe" in line]
    assert row.strip("│ ").split("  ")[-1].strip() == "-"  # of raw pixels, not measured
    assert [cell.strip() for cell in row.strip("│ ").split("  ") if cell.strip()][1] == shown


def _shown(result: Result) -> str:
    console = Console(record=True, width=400, file=io.StringIO())
    console.print(closing_table(result, "run", {}))
    return console.export_text()
