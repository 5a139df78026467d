"""The evaluations that lie beside a run, as a table: of its weights, and of the weights before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_zoo.pages.numbers import number, percent, seconds
from ssl_zoo.pages.page import Prose, Section, Table
from ssl_zoo.run_dir.run_files import read_evaluations
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["evaluation_table"]

HEADER = ("protocol", "data", "weights", "figure", "value", "time", "in words")
Line = tuple[str, ...]


def evaluation_table(run: SavedRun, untrained: str | None) -> Section | None:
    """Tabulates the evaluations of eval-*.json; None where there are none.

    Args:
        run: the run.
        untrained: digest of the backbone's weights before training; None where they cannot be fetched.
    """
    rows: list[Line] = []
    others = []
    for record in read_evaluations(run.folder):
        if "error" in record:
            rows.append((str(record["file"]), "–", "–", "–", "–", "–", str(record["error"])))
        elif _inner(record, "encoder", "digest") in (run.digest, untrained):
            rows += _lines(record)
        else:
            others.append(str(record["file"]))
    if not rows and not others:
        return None
    caption = f"Evaluations beside the run, of {run.folder.name}/eval-*.json."
    left_out = f"Of other weights than this page's, or silent about whose they are, and left out: {', '.join(others)}."
    blocks = [Table(HEADER, rows, caption, wordy=True)] if rows else []
    return Section("evaluations", "Evaluations", [*blocks, *([Prose(left_out)] if others else [])])


def _lines(record: Mapping[str, Any]) -> list[Line]:
    """Returns a record's headline or, where its figures are scores without one, each of them."""
    metric, description = str(record.get("metric") or "top1"), str(record.get("in_words", ""))
    name, time = str(record.get("protocol", record["file"])), seconds(record.get("seconds"))
    subject = (_inner(record, "data", "name"), _inner(record, "encoder", "weights"))
    rows = [row for row in record.get("rows") or () if isinstance(row, Mapping)]
    if rows and all("score" in row and "value" in row for row in rows):
        meanings = [str(row.get("read") or "") for row in rows]
        meanings[0] = f"{meanings[0]}; {description}".strip("; ")
        return [
            (name, *subject, str(row["score"]).replace("_", " "), _value(row["value"]), time, meaning)
            for row, meaning in zip(rows, meanings, strict=True)
        ]
    top1, std = record.get("top1"), record.get("top1_std")
    return [(name, *subject, metric, _value(top1, std, metric in ("top1", "top5")), time, description)]


def _inner(record: Mapping[str, Any], block: str, key: str) -> str:
    value = record.get(block)
    return str(value.get(key) or "–") if isinstance(value, Mapping) else "–"


def _value(value: Any, std: Any = None, is_fraction: bool = False) -> str:
    if not isinstance(value, (int, float)):
        return "–"
    return percent(value, std if isinstance(std, (int, float)) else None) if is_fraction else number(value)
