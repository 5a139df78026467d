"""The declarations of metrics: what is recorded, and what the docs say of it, comes from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_zoo.metrics import METRICS, RESULT, Metric, metric
from ssl_zoo.metrics.__main__ import page
from ssl_zoo.runs.result import Result

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


def test_two_metrics_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="metric 'uniformity' is registered twice"):

        @metric("uniformity", title="other", meaning="Other.")
        def other(view: object) -> float:
            return 0.0
