"""Run directories written by hand, for the tests of what reads many: no training, the files alone."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_yaml

RESULT: dict[str, Any] = {
    "method": "simsiam",
    "data": "digits",
    "epochs": 10,
    "steps": 50,
    "loss": -0.9,
    "knn_top1": 0.9,
    "linear_top1": 0.8,
    "output_std_ratio": 0.95,
    "baselines": {"pixels_knn_top1": 0.7, "random_encoder_knn_top1": None},
    "verdict": "healthy",
    "differs_from_paper": {},
    "train_seconds": 12.0,
    "config_hash": "0123456789ab",
    "git_commit": None,
}


@functools.cache
def config_text(*overrides: str) -> str:
    """The config.yaml of a run."""
    return to_yaml(compose(["method=simsiam", "data=digits", "epochs=10", *overrides]))


def write_run(folder: Path, *overrides: str, result: dict[str, Any] | None = None, rows: str = "") -> Path:
    """Writes a run directory: with `result`, whose keys replace those of `RESULT`, a finished one."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config_text(*overrides))
    (folder / "environment.json").write_text("{}")
    (folder / "checkpoints").mkdir()
    if rows:
        (folder / "metrics.csv").write_text(rows)
    if result is not None:
        (folder / "result.json").write_text(json.dumps({**RESULT, **result}))
    return folder
