"""The declaration of a metric: the one place from which all that shows it takes its name and meaning.

`metrics.csv`, `result.json`, TensorBoard, the closing table, reports, model cards, the columns and claims of suites and
`docs/metrics.md` are made from the declarations. A metric of the embeddings is declared beside the function that
computes it, in this package or in another one, and is then measured in every run:

    @metric("norm_mean", title="mean norm", meaning="Mean length of the embeddings before they are normalised.")
    def norm_mean(view: Embeddings) -> float:
        return float(view.z.norm(dim=1).mean())

Another package announces the module of such functions in its `pyproject.toml`:

    [project.entry-points."ssl_zoo.metrics"]
    norm_mean = "ssl_zoo_norms:norm_mean"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from ssl_zoo.registry import Entry, Registry

__all__ = ["CSV", "LABEL_FREE", "METRICS", "RESULT", "SUITE", "Metric", "computed", "declared", "metric"]

# The files in which a metric's key stands.
CSV, RESULT, SUITE, LABEL_FREE = "metrics.csv", "result.json", "suite.json", "eval-label_free.json"
Group = Literal["training", "accuracy", "embeddings", "cost", "features"]  # in the order of columns
Compute = TypeVar("Compute", bound=Callable[..., float])


@dataclass(frozen=True, kw_only=True)
class Metric(Entry):
    """Declaration of a metric."""

    # The name is the metric's key: in every file, in Python, in a suite's columns and claims. The target computes it of
    # embeddings; empty where it is measured elsewhere.
    target: Any = ""
    config: type[Any] = object  # no settings
    title: str  # of a column or a row
    meaning: str  # a sentence or two
    reading: str = ""  # how to read a value, in a few words: "1 isotropic, 0 collapsed"
    group: Group = "embeddings"
    unit: str = (
        ""  # "fraction": of 1, shown in percent; "count": shown whole; "setting": chosen, not measured
    )
    better: Literal["higher", "lower"] | None = None
    source: str = ""  # of the definition
    files: tuple[str, ...] = (CSV, RESULT, SUITE)
    closing: bool = True  # whether a metric of the embeddings has a row in the closing table of a run
    chart: str = ""  # heading of its learning curve; empty: none is drawn
    lines: tuple[tuple[str, float], ...] = ()  # drawn across the curve: label and height
    bottom: float | None = None  # of the curve's axis; None: as the values need it
    views: int = 1  # that the target takes: 1, and the values of both views are averaged, or 2
    needs: str = ""  # "predictions", "predictor_weight", "recovered": left out where a method has none

    @property
    def is_fraction(self) -> bool:
        """Whether values are fractions of 1, which are shown in percent."""
        return self.unit == "fraction"


METRICS: Registry[Metric] = Registry("metric", "ssl_zoo.metrics", Metric)


def metric(name: str, **declaration: Any) -> Callable[[Compute], Compute]:
    """Declares the metric that a function computes of the embeddings; keywords are the fields of `Metric`."""
    return METRICS.register(name, **declaration)


def declared(file: str) -> dict[str, Metric]:
    """Returns the metrics whose keys stand in a file, by key and group by group."""
    groups = get_args(Group)
    of_file = [known for known in METRICS.all().values() if file in known.files]
    return {known.name: known for known in sorted(of_file, key=lambda known: groups.index(known.group))}


def computed() -> dict[str, Metric]:
    """Returns the metrics that are computed of the embeddings, by key."""
    return {name: known for name, known in METRICS.all().items() if known.target}
