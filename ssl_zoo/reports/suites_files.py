"""A comparison of suites as figures for programs: CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

from ssl_zoo.suites.compare import Move, tally
from ssl_zoo.suites.diff import Opened, changed_claims, changed_verdicts, differences

__all__ = ["as_csv", "as_values"]

SIDE = ("suite", "seeds", "mean", "std")
COLUMNS = ("difference", "low", "high", "p", "corrected", "state")


def as_csv(moves: Sequence[Move]) -> str:
    """A line for each comparison; accuracies are shares of 1, and what was not measured is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["row", "metric", *(f"{side}_{key}" for side in ("before", "after") for key in SIDE), *COLUMNS]
    )
    for move in moves:
        sides = [
            value
            for side in (move.before, move.after)
            for value in (side.suite, len(side.values), side.mean, side.std)
        ]
        writer.writerow([move.row, move.metric, *sides, *(getattr(move, key) for key in COLUMNS)])
    return file.getvalue()


def as_values(suites: Sequence[Opened], moves: Sequence[Move]) -> dict[str, Any]:
    """All that the page tells, as plain values."""
    return {
        "suites": [
            {"label": one.label, "folder": str(one.folder), "name": one.record.name} for one in suites
        ],
        "rows_by_accuracy": dataclasses.asdict(tally(moves)),
        "differences": differences(suites),
        "verdicts_changed": changed_verdicts(suites),
        "claims": {
            text: {"states": {one.label: one.state(text) for one in suites}, "changed": changed}
            for text, changed in changed_claims(suites).items()
        },
        "moves": [
            {
                **dataclasses.asdict(move),
                "before": {
                    **dataclasses.asdict(move.before),
                    "mean": move.before.mean,
                    "std": move.before.std,
                },
                "after": {**dataclasses.asdict(move.after), "mean": move.after.mean, "std": move.after.std},
            }
            for move in moves
        ],
    }
