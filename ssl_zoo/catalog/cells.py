"""Values of runs as text."""

from __future__ import annotations

from typing import Any

from ssl_zoo.catalog.names import is_fraction
from ssl_zoo.errors import printable
from ssl_zoo.pages.numbers import number, seconds
from ssl_zoo.run_dir.listed_run import ListedRun, written

__all__ = ["NOTHING", "cell"]

NOTHING = "–"
DIGITS = 4  # of a metric


def cell(name: str, value: Any, run: ListedRun | None = None) -> str:
    """Writes a value of a column as it is read, in one line: accuracies in percent, epochs as 3/10, a time in its unit.

    Args:
        name: the full name of the column.
        value: the run's.
        run: the run, if it is one.
    """
    return printable(_text(name, value, run)).replace("\n", " ")


def _text(name: str, value: Any, run: ListedRun | None) -> str:
    if name == "epoch" and run is not None and value is not None:
        whole = run.field("epochs")
        return f"{value}/{whole}" if whole is not None else str(value)
    if value is None:
        return NOTHING
    if isinstance(value, float) and value != value:
        return "nan"
    if name == "time" or name.endswith("_seconds"):
        return seconds(value)
    if name in ("suite", "row"):
        return ", ".join(value)
    if name == "commit":
        return str(value)[:8]
    if isinstance(value, float) and is_fraction(name):
        return f"{value:.1%}"
    if isinstance(value, float) and run is not None and name in run.metrics:
        return number(value, DIGITS)
    return written(value)
