"""What is measured: one declaration per metric, beside the function that computes it where that is of embeddings."""

from __future__ import annotations

from . import run  # declares the metrics of a run
from .declaration import CSV, LABEL_FREE, METRICS, RESULT, SUITE, Metric, computed, declared, metric
from .embeddings import Embeddings, measure_embeddings

__all__ = [
    "CSV",
    "LABEL_FREE",
    "METRICS",
    "RESULT",
    "SUITE",
    "Embeddings",
    "Metric",
    "computed",
    "declared",
    "measure_embeddings",
    "metric",
    "run",
]
