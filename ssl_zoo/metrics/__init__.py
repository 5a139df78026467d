"""Metrics: one declaration each; those of the embeddings stand beside the functions that compute them."""

from __future__ import annotations

from . import predictions, run, sphere  # declare the metrics of a predictor, of a run and of the embeddings
from .declaration import CSV, LABEL_FREE, METRICS, RESULT, SUITE, Metric, computed, declared, metric
from .embeddings import Embeddings, measure_embeddings
from .spectral_rank import rank_of

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
    "predictions",
    "rank_of",
    "run",
    "sphere",
]
