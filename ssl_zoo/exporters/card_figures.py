"""Figures of an encoder, from the records beside its run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ssl_zoo.exporters.encoder import ExportedEncoder
from ssl_zoo.metrics import METRICS, computed
from ssl_zoo.run_dir.metrics_csv import read_metrics
from ssl_zoo.run_dir.run_files import read_evaluations

__all__ = ["Figure", "measured_figures", "result_of"]

# Settings that one and the same evaluation of two encoders may differ in: of the encoder, the machine and the folder.
FREE = ("weights", "run", "out", "progress", "threads", "backbone")
FREE_DATA = ("root", "workers", "cache_mb", "spool_gb")


@dataclass(frozen=True)
class Figure:
    """A figure with its baselines; None is what was not measured."""

    protocol: str
    in_words: str
    data: str
    metric: str
    value: float | None
    std: float | None = None  # over draws or seeds
    untrained: float | None = None  # of the same architecture before its training
    pixels: float | None = None  # of the raw pixels
    kind: str = "monitor"  # of a protocol; monitor: measured by the run itself

    def row(self) -> str:
        """Returns a row of the card's table."""
        spread = f" ± {self._formatted(self.std).removesuffix(' %')}" if self.std is not None else ""
        metric = "top-1" if self.metric == "top1" else self.metric
        cells = [self.protocol, self.data, metric, self._formatted(self.value) + spread]
        return f"| {' | '.join([*cells, self._formatted(self.untrained), self._formatted(self.pixels)])} |"

    def _formatted(self, value: float | None) -> str:
        if value is None:
            return "-"
        if self.metric.lower().startswith(("top", "ap")):
            return f"{100 * value:.1f} %"
        return f"{value:.4g}"


def result_of(encoder: ExportedEncoder) -> dict[str, Any] | None:
    """Returns the run's result if it is of these weights; a checkpoint from within a run has none."""
    return encoder.run.result if encoder.run.is_last else None


def measured_figures(encoder: ExportedEncoder) -> list[Figure]:
    """Returns all figures of these weights: those of the run's end, and of each `eval-*.json` with their digest."""
    return [*_monitored(encoder), *_diagnosed(encoder), *_evaluated(encoder)]


def _monitored(encoder: ExportedEncoder) -> list[Figure]:
    result = result_of(encoder) or {}
    baselines = result.get("baselines") or {}
    figures = []
    for name in ("knn", "linear"):
        trained, untrained = result.get(f"{name}_top1"), baselines.get(f"random_encoder_{name}_top1")
        is_trained = encoder.weights == "trained"
        figure = Figure(
            protocol=f"{METRICS.get(f'{name}_top1').title} of the run",
            in_words=str(result.get(f"{name}_protocol") or ""),
            data=str(result.get("data")),
            metric="top1",
            value=trained if is_trained else untrained,
            std=result.get(f"{name}_top1_std") if is_trained else None,
            untrained=untrained,
            pixels=baselines.get(f"pixels_{name}_top1"),
        )
        if figure.value is not None:
            figures.append(figure)
    return figures


def _diagnosed(encoder: ExportedEncoder) -> list[Figure]:
    """Returns the metrics of the embeddings, which need no labels."""
    result = result_of(encoder)
    if result is None:
        return []
    first = next(iter(read_metrics(encoder.run.folder)), {})
    start = first if first.get("epoch") == 0 and not result.get("start_from") else {}
    readings = [
        f"{name}: {metric.reading}"
        for name, metric in computed().items()
        if metric.reading and (not metric.needs or result.get(name) is not None)
    ]
    in_words = f"of the projector's outputs z/|z| for augmented views; {'; '.join(readings)}"
    figures = []
    for name in computed():
        value = result.get(name) if encoder.weights == "trained" else start.get(name)
        if value is not None:
            data, untrained = str(result.get("data")), start.get(name)
            figures.append(Figure("diagnostics of the run", in_words, data, name, value, untrained=untrained))
    return figures


def _evaluated(encoder: ExportedEncoder) -> list[Figure]:
    records = [record for record in read_evaluations(encoder.run.folder) if "protocol" in record]
    untrained = {_comparable(record): _values(record) for record in records if _weights(record) == "random"}
    digest = encoder.digest
    figures = []
    for record in records:
        if not _is_of(record, digest, encoder.weights):
            continue
        baseline = untrained.get(_comparable(record), {})
        kind = str(record.get("kind") or record["protocol"])
        for metric, value in _values(record).items():
            figures.append(
                Figure(
                    protocol=str(record["protocol"]),
                    in_words=str(record.get("in_words") or ""),
                    data=str((record.get("data") or {}).get("name", "-")),
                    metric=metric,
                    value=value,
                    std=record.get("top1_std"),
                    untrained=baseline.get(metric),
                    kind=kind,
                )
            )
    return figures


def _values(record: dict[str, Any]) -> dict[str, float | None]:
    """Returns the figures of a record by metric: its headline, or all scores where its rows are scores."""
    scores = [row for row in record.get("rows") or () if "score" in row]
    if scores:
        return {
            str(row["score"]): row["value"] for row in scores if isinstance(row.get("value"), (int, float))
        }
    return {str(record.get("metric") or "top1"): record.get("top1")}


def _is_of(record: dict[str, Any], digest: str, weights: str) -> bool:
    """Whether a record is of these weights, and not of another checkpoint or of a run that lay here before."""
    of_record = (record.get("encoder") or {}).get("digest")
    return _weights(record) == weights if of_record is None else bool(of_record == digest)


def _weights(record: dict[str, Any]) -> str:
    return str((record.get("encoder") or {}).get("weights", "trained"))


def _comparable(record: dict[str, Any]) -> str:
    """Returns what two records must share for one to be the other's baseline: all but the weights and the figures.

    Never the overrides, which tell what was chosen on these very features.
    """
    encoder = record.get("encoder") or {}
    settings = {name: value for name, value in (record.get("settings") or {}).items() if name not in FREE}
    if isinstance(data := settings.get("data"), dict):
        settings["data"] = {name: value for name, value in data.items() if name not in FREE_DATA}
    architecture = [encoder.get("backbone"), encoder.get("stem")]
    same = [record["protocol"], settings, record.get("seed"), record.get("data"), architecture]
    return json.dumps(same, sort_keys=True)
