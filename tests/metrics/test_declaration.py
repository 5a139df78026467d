"""The declarations of metrics: what is recorded, and what the docs say of it, comes from them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from ssl_zoo.metrics import CSV, METRICS, RESULT, Embeddings, Metric, declared, measure_embeddings, metric
from ssl_zoo.metrics.__main__ import page
from ssl_zoo.pages.page import Table
from ssl_zoo.reports.run_sections import RunSummary, diagnostics
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.suites.aggregate import heading
from ssl_zoo.suites.claims import Comparison, parse
from ssl_zoo.training.closing_table import closing_table
from ssl_zoo.training.measurement import Measurement, Scores

MISSING: Any = None  # a run that is not read
DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_docs_list_the_metrics() -> None:
    assert page() == (DOCS / "metrics.md").read_text(), "python -m ssl_zoo.metrics > docs/metrics.md"


def test_figures_of_a_result_are_declared() -> None:
    figures = {key for key, kind in Result.key_types().items() if kind in (float, float | None)}
    declared = {one.name for one in METRICS.all().values() if RESULT in one.files}
    assert figures == declared | {"linear_top1_std"}


@pytest.mark.parametrize("one", METRICS.all().values(), ids=lambda one: str(one.name))
def test_a_declaration_explains_itself(one: Metric) -> None:
    assert one.title
    assert one.meaning.endswith(".")
    assert one.files


@pytest.fixture
def norm_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declares a metric for the length of a test, as another package would."""
    monkeypatch.setattr(METRICS, "_entries", dict(METRICS._entries))

    @metric("norm_mean", title="mean norm", meaning="Mean length of z.", reading="any", chart="Mean norm")
    def norm_mean(view: Embeddings) -> float:
        return float(view.z.norm(dim=1).mean())


@pytest.mark.usefixtures("norm_mean")
def test_a_declared_metric_is_everywhere() -> None:
    view = 3 * torch.eye(4)
    assert measure_embeddings(view, 2 * view)["norm_mean"] == 4.5, "the mean over both views"
    assert Measurement(measure_embeddings(view, view), Scores()).row["norm_mean"] == 3.0
    assert list(declared(CSV))[-2:] == ["norm_mean", "views_per_second"]
    assert Result.key_types()["norm_mean"] is float
    assert "| `norm_mean` | mean norm | Mean length of z. |" in page()
    claim = parse("norm_mean(a) > 2", ["a", "b"])
    assert isinstance(claim, Comparison)
    assert (claim.metric, claim.is_fraction, heading("norm_mean")) == ("norm_mean", False, "mean norm")
    fields = {field.name: None for field in dataclasses.fields(Result)}
    figures = {
        "metrics": {"norm_mean": 3.0},
        "verdict": "healthy",
        "verdict_reason": "",
        "train_seconds": 0.0,
    }
    values: dict[str, Any] = {
        **fields,
        **figures,
        "peak_memory_mb": 0.0,
        "baselines": Baselines(),
        "run_dir": "run",
    }
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(closing_table(Result(**values), "run", {"norm_mean": 1.0}))
    row = next(line for line in console.export_text().splitlines() if "mean norm (any)" in line)
    assert row.strip("│ ").split()[-2:] == ["3.000", "1.000"]
    [table] = diagnostics(RunSummary(MISSING, {"norm_mean": 3.0}, [{"epoch": 0, "norm_mean": 1.0}])).blocks
    assert isinstance(table, Table)
    assert ("mean norm", "3.00", "1.00", "Mean length of z.") in table.rows


def test_two_metrics_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="metric 'uniformity' is registered twice"):

        @metric("uniformity", title="other", meaning="Other.")
        def other(view: object) -> float:
            return 0.0
