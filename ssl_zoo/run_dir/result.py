"""The contract of a run: `result.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from ssl_zoo.files.json_files import write_json
from ssl_zoo.metrics import RESULT, declared
from ssl_zoo.run_dir.result_card import result_html

__all__ = ["Baselines", "Result"]


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """Accuracies of the same classifiers without any training: fractions of 1, None without labels."""

    pixels_knn_top1: float | None = None
    pixels_linear_top1: float | None = None
    random_encoder_knn_top1: float | None = None
    random_encoder_linear_top1: float | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a run; each field is a key of `result.json`, and None is what was not measured.

    Accuracies are fractions of 1 and those of the last epoch. The metrics are explained in docs/metrics.md.
    """

    method: str
    data: str
    seed: int
    epochs: int
    steps: int
    loss: float | None  # mean over the last epoch
    knn_top1: float | None
    knn_protocol: str | None
    linear_top1: float | None
    linear_top1_std: float | None  # over the draws of the labels
    linear_protocol: str | None
    test_images: int | None  # that the accuracies are measured on
    baselines: Baselines
    metrics: Mapping[str, float]  # of embeddings and gradients, by key; keys of result.json themselves
    verdict: str
    verdict_reason: str
    collapsed_epoch: int | None  # in which a collapse was noticed first
    cause: str | None  # likely, in a few words and a sentence; None where the verdict is healthy
    remedy: str | None  # one thing to try: an override, or what to look at
    differs_from_paper: dict[str, Any]  # axes on which this run stands elsewhere than the named method
    start_from: (
        dict[str, Any] | None
    )  # the run whose weights this one began with, and the parts taken; None: none
    views_per_second: float | None
    train_seconds: float  # measurements not counted
    peak_memory_mb: float
    skipped: int | None  # unreadable files that data.on_error=skip left out; None where images are no files
    config_hash: str
    git_commit: str | None
    versions: dict[str, str]
    run_dir: str

    @classmethod
    def key_types(cls) -> dict[str, Any]:
        """Returns the type of each key of `result.json`."""
        types = get_type_hints(cls)
        del types["metrics"]
        return dict.fromkeys(declared(RESULT), float) | types

    def as_dict(self) -> dict[str, Any]:
        """Returns what `result.json` holds."""
        values: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self).items():
            values |= value if name == "metrics" else {name: value}
        return values | {key: None for key in declared(RESULT) if key not in values}

    def _repr_html_(self) -> str:
        return result_html(self.as_dict(), Path(self.run_dir))

    def write(self) -> None:
        """Writes `result.json` into the run directory; figures that are not finite are written as null."""
        write_json(Path(self.run_dir) / "result.json", self.as_dict())
