"""What a run shows of itself in a notebook: verdict, figures beside their baselines, curves, configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_zoo.config.validate import written_value
from ssl_zoo.pages.card import Card, CardTable, Curve, card_html
from ssl_zoo.pages.numbers import number, percent, seconds
from ssl_zoo.pages.page import Badge, Details
from ssl_zoo.run_dir.metrics_csv import column, read_metrics

__all__ = ["CURVES", "result_html"]

CURVES = {"loss": "Training loss", "output_std_ratio": "Output std ratio", "knn_top1": "kNN top-1"}
EMBEDDINGS = {"output_std_ratio": "output std ratio", "effective_rank": "effective rank"}
ENCODERS = {"random_encoder": "untrained", "pixels": "pixels"}


def result_html(
    record: Mapping[str, Any], folder: Path, outcome: str | None = None, title: str | None = None
) -> str:
    """Returns the card of a run as HTML.

    Args:
        record: what result.json holds; empty for a run without a result. Values of other types are left out.
        folder: the run directory, of which metrics.csv and config.yaml are shown where they are there.
        outcome: in place of the verdict, where the record has none.
        title: where the record has none; null: the folder's name.
    """
    verdict = _text(record.get("verdict")) or outcome
    remedy = f"To try: {_text(record.get('remedy'))}" if record.get("remedy") else ""
    cause = f"Likely cause: {_text(record['cause'])}." if record.get("cause") else ""
    return card_html(
        Card(
            _title(record) or title or folder.name,
            badge=None if verdict is None else Badge(verdict),
            texts=[*filter(None, [_sentence(record.get("verdict_reason")), cause, remedy])],
            tables=_tables(record),
            curves=_curves(record, folder),
            details=_details(folder),
            foot=_foot(record, folder),
        )
    )


def _title(record: Mapping[str, Any]) -> str:
    if not record.get("method"):
        return ""
    axes = record.get("differs_from_paper")
    differing = (
        [f"{axis}={written_value(value)}" for axis, value in axes.items()]
        if isinstance(axes, Mapping)
        else []
    )
    where = f"on {record.get('data')}, seed {record.get('seed')}"
    return f"{', '.join([str(record['method']), *differing])} {where}"


def _tables(record: Mapping[str, Any]) -> list[CardTable]:
    """Returns the accuracies beside those without any training, with the main figures of the embeddings."""
    rows = []
    for name, title in (("linear", "linear probe"), ("knn", "kNN")):
        value = _figure(record, f"{name}_top1")
        if value is not None:
            others = [percent(_baseline(record, f"{encoder}_{name}_top1")) for encoder in ENCODERS]
            rows.append([title, percent(value, _figure(record, f"{name}_top1_std")), *others])
    for name, title in EMBEDDINGS.items():
        value = _figure(record, name)
        if value is not None:
            rows.append([title, number(value), "", ""])
    heading = ("", "trained", "untrained encoder", "raw pixels")
    return [CardTable(heading, rows)] if rows else []


def _curves(record: Mapping[str, Any], folder: Path) -> list[Curve]:
    rows, curves = read_metrics(folder), []
    for name, title in CURVES.items():
        epochs, values = column(rows, name)
        heights = [(text, _baseline(record, f"{encoder}_knn_top1")) for encoder, text in ENCODERS.items()]
        baselines = [(text, height) for text, height in heights if height is not None and name == "knn_top1"]
        curves.append(Curve(title, epochs, values, baselines, in_percent=name.endswith("top1")))
    return curves


def _details(folder: Path) -> list[Details]:
    try:
        return [
            Details("config.yaml", (folder / "config.yaml").read_text(encoding="utf-8", errors="replace"))
        ]
    except OSError:
        return []


def _foot(record: Mapping[str, Any], folder: Path) -> str:
    epochs, taken = record.get("epochs"), record.get("train_seconds")
    parts = [f"{epochs} epochs in {seconds(taken)}" if epochs is not None else "", str(folder)]
    return " · ".join(filter(None, [*parts, shlex.join(["ssl-zoo", "report", str(folder)])]))


def _figure(record: Mapping[str, Any], name: str) -> float | None:
    value = record.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _baseline(record: Mapping[str, Any], name: str) -> float | None:
    baselines = record.get("baselines")
    return _figure(baselines, name) if isinstance(baselines, Mapping) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _sentence(value: Any) -> str:
    text = _text(value) or ""
    return text[:1].upper() + text[1:]
