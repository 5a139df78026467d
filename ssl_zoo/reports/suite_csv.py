"""results.csv: a line for each row and seed, with all figures as they were measured."""

from __future__ import annotations

import csv
import io

from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.suites.record import SuiteRecord

__all__ = ["sheet"]


def sheet(record: SuiteRecord) -> str:
    """The text of the file; what was not measured is empty."""
    found = [name for row in record.rows for run in row.runs for name in run.values]
    names = list(dict.fromkeys((*declared(SUITE), *record.protocols, *found)))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["suite", "row", "seed", "config_hash", "verdict", "error", *names, "paper", "commit", "command"]
    )
    for row in record.rows:
        for run in row.runs:
            writer.writerow(
                [
                    record.name, row.name, run.seed, run.config_hash, run.verdict, run.error,
                    *(run.values.get(name) for name in names), row.paper, run.commit, run.command,
                ]
            )  # fmt: skip
    return file.getvalue()
