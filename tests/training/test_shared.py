"""Runs of one process that share their images and what doesn't depend on the training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import overrides
from torch import nn

import ssl_zoo
from ssl_zoo.run_dir.result import Result
from ssl_zoo.training import measurement, memory_check
from ssl_zoo.training import shared as shared_file
from ssl_zoo.training.shared import Shared, fingerprint

RUNS: dict[str, tuple[str, ...]] = {
    "first": ("monitor.baselines=true",),
    "another loss": ("monitor.baselines=true", "method.stop_gradient=false"),
    "another seed": ("monitor.baselines=true", "seed=1"),
    "other views": ("monitor.baselines=true", "augment.flip=0.5", "trainer.accumulate=2", "batch_size=10"),
    "other size": ("monitor.baselines=true", "augment.size=10"),
    "other images": ("monitor.baselines=true", "data.limit=100"),
}


@pytest.mark.slow
def test_runs_that_share_give_what_they_give_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    for module, name in ((shared_file, "load_data"), (memory_check, "need"), (measurement, "few_label_top1")):
        _count(monkeypatch, module, name, calls)

    def train(name: str, shared: Shared | None) -> Result:
        where = tmp_path / ("alone" if shared is None else "shared") / name
        return ssl_zoo.train(
            overrides("simsiam", *RUNS[name], "epochs=1", "trainer.memory_check=true", f"run_dir={where}"),
            silent=True,
            shared=shared,
        )

    shared, made = Shared(), []
    for name in RUNS:
        calls.clear()
        together = train(name, shared)
        made.append((calls["load_data"], calls["need"], calls["few_label_top1"]))
        alone = train(name, None)
        for key in ("loss", "knn_top1", "linear_top1", "baselines", "metrics", "verdict"):
            assert getattr(together, key) == getattr(alone, key), (name, key)
        assert (tmp_path / "shared" / name / "metrics.csv").exists()
    # Loads, memory checks, probes: of the trained encoder, the untrained one and raw pixels.
    assert made == [(1, 1, 3), (0, 1, 1), (0, 0, 2), (0, 1, 2), (0, 1, 3), (1, 1, 3)]


def _count(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: Counter[str]) -> None:
    original = getattr(module, name)

    def counted(*args: Any, **settings: Any) -> Any:
        calls[name] += 1
        return original(*args, **settings)

    monkeypatch.setattr(module, name, counted)


def test_nothing_is_kept_of_images_that_stay_files() -> None:
    shared, calls = Shared(), Counter[str]()
    for _ in range(2):
        shared.once(("pixels",), lambda: calls.update(["pixels"]))
    assert calls["pixels"] == 2


def test_a_fingerprint_is_of_every_weight_and_of_the_layers() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.ReLU())
    before = fingerprint(module)
    assert fingerprint(module) == before
    with torch.no_grad():
        module[0].weight[1, 2] = torch.nextafter(module[0].weight[1, 2], torch.tensor(9.0))
    assert fingerprint(module) != before
    assert fingerprint(nn.Sequential(*module[:2], nn.Tanh())) != fingerprint(module)
