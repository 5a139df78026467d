"""Suites small enough for a test: written as YAML files, and run without a process for each row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.errors import UserError
from ssl_zoo.suites.launch_local import Failure, Slots
from ssl_zoo.suites.record import SuiteRecord
from ssl_zoo.suites.trial import Trial, is_done, write_trial
from ssl_zoo.suites.worker import run_trial

TINY = (
    "method=simsiam data.limit=40 backbone.name=test_resnet augment.size=8 epochs=1 batch_size=20 precision=fp32 "
    "method.projector.hidden_dim=16 method.projector.output_dim=8 method.predictor.hidden_dim=8 optimizer.lr=0.05 "
    "optimizer.warmup_epochs=0 monitor.every_epochs=50 monitor.knn.k=5 monitor.probe.draws=1 monitor.baselines=false "
    "trainer.memory_check=false"
)
TIMES = {"train_seconds", "views_per_second", "seconds", "peak_memory_mb"}
FREE = {"run_dir", "train_seconds", "views_per_second", "peak_memory_mb", "git_commit"}  # of result.json


def a_suite(**changes: Any) -> dict[str, Any]:
    """A suite with two rows; None takes a key away."""
    block = {
        "title": "A tiny suite",
        "paper": "None",
        "source": "https://example.org",
        "section": "Table 0",
        "question": "Does it run?",
        "base": TINY,
        "rows": {"one": {"paper": 68.1}, "two": {"overrides": "method.stop_gradient=false"}},
        "claims": ["top1(one) > top1(two)"],
        **changes,
    }
    return {key: value for key, value in block.items() if value is not None}


def write_suite(file: Path, **changes: Any) -> Path:
    """Writes `a_suite` as a YAML file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(a_suite(**changes), sort_keys=False))
    return file


def in_process(
    take: Callable[[], Trial | None],
    rows: Path,
    slots: Slots,
    *,
    on_tick: object,
    on_end: Callable[..., None],
) -> None:
    """Stands in for `run_local`: one trial after the other, here, which saves some seconds for each."""
    for trial in iter(take, None):
        message = "no result"
        try:
            run_trial(json.loads(write_trial(trial, rows).read_text()))
        except UserError as error:
            message = str(error)
        done = is_done(trial, rows / trial.name)
        on_end(trial, None if done else Failure(trial, message, rows / f"{trial.name}.log"))


def figures(record: SuiteRecord) -> dict[tuple[str, int], Any]:
    """What was measured, by row and seed, without what depends on the machine's load."""
    return {
        (row.name, run.seed): (
            run.verdict,
            {name: value for name, value in run.values.items() if name not in TIMES},
        )
        for row in record.rows
        for run in row.runs
    }


def results(out: Path) -> dict[str, dict[str, Any]]:
    """The `result.json` of all runs, by folder, without what depends on the machine's load."""
    return {
        file.parent.name: {
            key: value for key, value in json.loads(file.read_text()).items() if key not in FREE
        }
        for file in sorted(out.glob("rows/*/result.json"))
    }
