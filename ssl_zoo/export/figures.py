"""What was measured of an encoder, from the records beside its run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ssl_zoo.export.encoder import Encoder

__all__ = ["Figure", "figures", "result_of"]


@dataclass(frozen=True)
class Figure:
    """One figure, with what stands beside it; None is what was not measured."""

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
        """A row of the card's table."""
        spread = f" ± {self._said(self.std).removesuffix(' %')}" if self.std is not None else ""
        metric = "top-1" if self.metric == "top1" else self.metric
        cells = [self.protocol, self.data, metric, self._said(self.value) + spread]
        return f"| {' | '.join([*cells, self._said(self.untrained), self._said(self.pixels)])} |"

    def _said(self, value: float | None) -> str:
        if value is None:
            return "-"
        if self.metric.lower().startswith(("top", "ap")):
            return f"{100 * value:.1f} %"
        return f"{value:.4g}"


def result_of(encoder: Encoder) -> dict[str, Any] | None:
    """The run's result, where it is one of these weights: a checkpoint from within a run has none."""
    return encoder.run.result if encoder.run.is_finished else None


def figures(encoder: Encoder) -> list[Figure]:
    """All figures of these very weights: those of the run's end, and of each `eval-*.json` whose digest is theirs."""
    return [*_monitored(encoder), *_evaluated(encoder)]


def _monitored(encoder: Encoder) -> list[Figure]:
    result = result_of(encoder)
    if result is None:
        return []
    baselines = result.get("baselines") or {}
    found = []
    for name, words in (("knn", "kNN of the run"), ("linear", "linear probe of the run")):
        trained, untrained = result.get(f"{name}_top1"), baselines.get(f"random_encoder_{name}_top1")
        is_trained = encoder.weights == "trained"
        figure = Figure(
            protocol=words,
            in_words=str(result.get(f"{name}_protocol") or ""),
            data=str(result.get("data")),
            metric="top1",
            value=trained if is_trained else untrained,
            std=result.get(f"{name}_top1_std") if is_trained else None,
            untrained=untrained,
            pixels=baselines.get(f"pixels_{name}_top1"),
        )
        if figure.value is not None:
            found.append(figure)
    return found


def _evaluated(encoder: Encoder) -> list[Figure]:
    records = []
    for file in sorted(encoder.run.folder.glob("eval-*.json")):
        try:
            record = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and "protocol" in record:
            records.append(record)
    untrained = {_what(record): record.get("top1") for record in records if _weights(record) == "random"}
    found = []
    for record in records:
        if _weights(record) != encoder.weights or _of_other_weights(record, encoder):
            continue
        found.append(
            Figure(
                protocol=str(record["protocol"]),
                in_words=str(record.get("in_words") or ""),
                data=_data(record),
                metric=str(record.get("metric") or "top1"),
                value=record.get("top1"),
                std=record.get("top1_std"),
                untrained=untrained.get(_what(record)),
                kind=str(record.get("kind") or record["protocol"]),
            )
        )
    return found


def _weights(record: dict[str, Any]) -> str:
    return str((record.get("encoder") or {}).get("weights", "trained"))


def _of_other_weights(record: dict[str, Any], encoder: Encoder) -> bool:
    """Whether a record is of another checkpoint of the run, or of a run that lay here before."""
    digest = (record.get("encoder") or {}).get("digest")
    return digest is not None and digest != encoder.digest


def _data(record: dict[str, Any]) -> str:
    return str((record.get("data") or {}).get("name", "-"))


def _what(record: dict[str, Any]) -> tuple[str, ...]:
    """What two records must share for one to be the other's baseline."""
    data = record.get("data") or {}
    return str(record["protocol"]), str(record.get("in_words")), json.dumps(data, sort_keys=True)
