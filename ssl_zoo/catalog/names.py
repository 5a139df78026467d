"""The names by which a list of runs is asked: fields, metrics, and keys of the configuration, in full or short."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ssl_zoo.config.added_keys import ADDED_KEYS
from ssl_zoo.errors import UserError, shortened, suggest
from ssl_zoo.run_dir.listed_run import FIELDS, ListedRun

__all__ = ["Names", "is_fraction", "short_name"]

TOP1 = "_top1"
SHORT = {"linear_top1": "linear", "knn_top1": "knn", "output_std_ratio": "std_ratio"}
EVALUATIONS = "eval."  # begins the accuracy of a protocol of `ssl-zoo eval`
SHOWN = 1500  # characters of a message that list names


class Names:
    """Finds the values that names stand for, in the runs of a list.

    A name is a field (`FIELDS`), a metric (`knn_top1`, `baselines.pixels_knn_top1`, `eval.linear`), a key of the
    configuration (`optimizer.lr`), or the end of just one of these from a dot or an underscore on (`stop_gradient`).
    Accuracies need no `_top1`.

    Args:
        runs: all of the list, also those that conditions leave out.
    """

    def __init__(self, runs: Sequence[ListedRun]) -> None:
        self.runs = runs

    @cached_property
    def metrics(self) -> set[str]:
        """The metrics that some run has."""
        return {name for run in self.runs for name in run.metrics}

    @cached_property
    def keys(self) -> set[str]:
        """The keys of the configuration that some run has."""
        return {name for run in self.runs for name in run.config}

    @cached_property
    def evaluations(self) -> set[str]:
        """The evaluations that some run has, as `eval.PROTOCOL`."""
        return {name for run in self.runs for name in run.evaluations}

    def find(self, name: str) -> str:
        """Returns the full name.

        Raises:
            UserError: no run has it, or it is short for several.
        """
        if name in FIELDS or not self.runs:  # of no runs nothing holds, whatever it is called
            return name
        known = self.evaluations if name.startswith(EVALUATIONS) else self.metrics
        for full in (name, f"{name}{TOP1}"):
            if full in known or full in self.keys:
                return full
        ends = sorted(full for full in known | self.keys if full.endswith((f".{name}", f"_{name}")))
        ends = [full for full in ends if full.endswith(f".{name}")] or ends
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise UserError(
                f"a short name must be of one key; '{name}' may be {_or(ends)}; write one of them"
            )
        short = [short for full, short in SHORT.items() if full in self.metrics]
        everything = [*FIELDS, *self.metrics, *self.keys, *self.evaluations, *short]
        likely = sorted(full for full in everything if name in full)
        near = f"; there are {shortened(', '.join(likely), SHOWN)}" if likely else suggest(name, everything)
        raise UserError(
            f"columns and conditions name a field ({', '.join(FIELDS)}), a metric or a key of the configuration; no "
            f"run here has '{name}'{near or '; see result.json and config.yaml of a run'}"
        )

    def is_measured(self, full: str) -> bool:
        """Whether a full name is of a figure."""
        return full in self.metrics or full.startswith(EVALUATIONS)

    def value(self, run: ListedRun, full: str) -> Any:
        """Returns a run's value by its full name; None where it has none.

        A run that was begun before a key came has the value at which that key changes nothing.
        """
        if full in FIELDS:
            return run.field(full)
        if full.startswith(EVALUATIONS):
            return run.evaluations.get(full)
        if full in run.metrics:
            return run.metrics[full]
        return run.config[full] if full in run.config else ADDED_KEYS.get(full) if run.config else None


def is_fraction(full: str) -> bool:
    """Whether a metric is an accuracy: a fraction of 1, which is shown and asked for in percent."""
    return full.startswith(EVALUATIONS) or full.endswith((TOP1, f"{TOP1}_std"))


def short_name(full: str, names: Names) -> str:
    """Returns a heading: a short name by which `Names` finds the full one, without the first block of a key."""
    rest = SHORT.get(full, full.partition(".")[2])
    if not rest or full.startswith((EVALUATIONS, "baselines.")):
        return full
    try:
        return rest if names.find(rest) == full else full
    except UserError:  # it is short for several
        return full


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
