"""What differs between runs: keys of their configurations, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssl_zoo.catalog.cells import NOTHING, cell
from ssl_zoo.catalog.html import html_table
from ssl_zoo.catalog.names import Names
from ssl_zoo.catalog.text import lay_out
from ssl_zoo.run_dir.listed_run import ListedRun

__all__ = ["Changes", "changes_between", "differing_keys"]

PLACE = ("run_dir", "resume")  # where a run lies
# Keys that a list does not show for being different: it has columns of some, and others follow or compute nothing.
OWN = (
    *PLACE,
    "seed",
    "epochs",
    "method.name",
    "data.name",
    "recipe",
    "experiment",
    "data.workers",
    "data.cache_mb",
)
SPEED = "trainer."  # keys of how fast a run goes, but for the one that changes what it computes
ACCUMULATE = "trainer.accumulate"
FIGURES = ("outcome", "linear_top1", "knn_top1", "output_std_ratio", "effective_rank", "loss", "time")


@dataclass(frozen=True)
class Changes:
    """The keys in which runs differ, with the value of each run, and their main metrics.

    Attributes:
        runs: the runs that are compared.
        keys: values by key of the configuration; None where a run has no such key.
        metrics: values by metric.
    """

    runs: tuple[ListedRun, ...]
    keys: dict[str, tuple[Any, ...]]
    metrics: dict[str, tuple[Any, ...]]

    def as_record(self) -> dict[str, Any]:
        """Returns the names of the runs, and values by key and by metric, in the order of the runs."""
        return {"runs": [run.name for run in self.runs], "keys": self.keys, "metrics": self.metrics}

    def rows(self) -> list[list[str]]:
        """Returns a row of text for each key and, below, for each metric."""
        keys = [
            [key, *(_written(key, value, run) for value, run in zip(values, self.runs, strict=True))]
            for key, values in self.keys.items()
        ]
        figures = [
            [name, *(cell(name, value, run) for value, run in zip(values, self.runs, strict=True))]
            for name, values in self.metrics.items()
        ]
        return [*(keys or [["the configurations are the same", *("" for _ in self.runs)]]), *figures]

    def headings(self) -> list[str]:
        """Returns the headings of the columns."""
        return ["", *(run.name for run in self.runs)]

    def __repr__(self) -> str:
        names = self.headings()
        return "\n".join(lay_out(["key", *names[1:]], names, self.rows(), None).lines)

    def _repr_html_(self) -> str:
        names = self.headings()
        return html_table(f"{len(self.runs)} runs", ["key", *names[1:]], names, self.rows())


def differing_keys(runs: Sequence[ListedRun], names: Names, *, all_keys: bool = False) -> list[str]:
    """Returns the keys of the configuration in which runs differ, in the order of config.yaml.

    Args:
        runs: the runs.
        names: finds their values.
        all_keys: whether also those that a list shows anyway, or that change nothing of what is computed.
    """
    runs = [run for run in runs if run.config]
    keys = dict.fromkeys(key for run in runs for key in run.config)
    if all_keys:
        asked = [key for key in keys if key not in PLACE]
    else:
        asked = [k for k in keys if k not in OWN and (not k.startswith(SPEED) or k == ACCUMULATE)]
    return [key for key in asked if len({repr(names.value(run, key)) for run in runs}) > 1]


def changes_between(runs: Sequence[ListedRun], names: Names) -> Changes:
    """Compares runs: all keys but those of where they lie, and the main metrics that one of them has."""
    keys = differing_keys(runs, names, all_keys=True)
    figures = {name: tuple(names.value(run, name) for run in runs) for name in FIGURES}
    return Changes(
        tuple(runs),
        {key: tuple(names.value(run, key) for run in runs) for key in keys},
        {name: values for name, values in figures.items() if any(value is not None for value in values)},
    )


def _written(key: str, value: Any, run: ListedRun) -> str:
    return cell(key, value) if value is not None else "null" if key in run.config else NOTHING
