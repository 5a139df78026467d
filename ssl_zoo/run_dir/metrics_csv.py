"""metrics.csv of a run, read back."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

__all__ = ["MetricsRow", "column", "read_metrics"]

MetricsRow = dict[str, float]  # a row of metrics.csv: what was measured


def read_metrics(folder: Path) -> list[MetricsRow]:
    """Returns the rows of metrics.csv, measured figures only; none where there is no such file."""
    try:
        with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
            return [_numbers(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def column(rows: list[MetricsRow], name: str) -> tuple[list[float], list[float]]:
    """Returns the epochs in which a column was measured, and its values."""
    pairs = [(row["epoch"], row[name]) for row in rows if name in row and "epoch" in row]
    return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def _numbers(row: dict[str, Any]) -> MetricsRow:
    numbers = {}
    for name, text in row.items():
        try:
            numbers[name] = float(text)
        except (TypeError, ValueError):
            continue
    if not math.isfinite(numbers.get("epoch", 0.0)):
        del numbers["epoch"]
    return numbers
