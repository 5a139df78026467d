"""The record of a suite: the contract between the runner, the report and comparisons, kept as `suite.json`."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_zoo.files.json_files import load_json, write_json
from ssl_zoo.suites.schema import PANELS
from ssl_zoo.suites.suite_card import suite_html

__all__ = [
    "OUTCOMES",
    "RECORD",
    "ClaimRecord",
    "RowRecord",
    "RunRecord",
    "SuiteRecord",
    "read",
    "run_dir",
]

RECORD = "suite.json"
OUTCOMES = ("holds", "fails", "no difference", "undecided", "not asked")  # of claims


@dataclass(frozen=True)
class RunRecord:
    """Record of a seed of a row."""

    seed: int
    folder: str  # relative to the suite's folder
    config_hash: str
    command: str  # as typed, gives the same run
    values: dict[str, float] = field(default_factory=dict)  # by metric; what was not measured is not there
    verdict: str | None = None
    error: str | None = None  # why there is no result: the message of a run that failed
    commit: str | None = None  # of ssl-zoo, when it was trained

    @property
    def finished(self) -> bool:
        """Whether the run has a result."""
        return self.verdict is not None


@dataclass(frozen=True)
class RowRecord:
    """A row with its seeds."""

    name: str
    overrides: tuple[str, ...]  # what sets it apart from the base
    runs: tuple[RunRecord, ...]
    paper: float | None = None  # as printed there, e.g. 67.7
    note: str = ""
    same_as: str | None = None  # an earlier row with the same configuration: the same runs
    start_from: str | None = None  # the row whose weights of the same seed it begins with

    def values(self, metric: str) -> list[float]:
        """Returns the metric of each finished seed that has it."""
        return [run.values[metric] for run in self.runs if run.finished and metric in run.values]

    @property
    def verdicts(self) -> list[str]:
        """The verdicts of the finished seeds."""
        return [run.verdict for run in self.runs if run.verdict is not None]


@dataclass(frozen=True)
class ClaimRecord:
    """A claim and its state by the runs."""

    text: str  # as in the YAML
    state: str  # one of OUTCOMES
    why: str  # one sentence with the figures
    estimate: float | None = None  # difference of means, left minus right; fractions of 1 for accuracies
    low: float | None = None  # confidence interval of the difference
    high: float | None = None
    metric: str | None = None
    more_seeds: int | None = (
        None  # of a row, that would probably decide an undecided claim; None: not known, or > 100
    )
    more_minutes: float | None = None  # of their runs, one after the other


@dataclass(frozen=True)
class SuiteRecord:
    """A suite as it was run."""

    name: str
    title: str
    paper: str
    source: str
    section: str
    question: str
    paper_setting: str
    data: str
    data_in_words: str
    budget: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]  # the user's overrides
    base: tuple[str, ...]  # overrides that all rows share
    columns: tuple[str, ...]
    top1: str  # a sentence on what top1 is
    protocols: dict[str, str]  # a sentence on how each accuracy was measured, by metric
    rows: tuple[RowRecord, ...]
    claims: tuple[ClaimRecord, ...]
    figures: tuple[dict[str, Any], ...]
    switches: tuple[str, ...]  # of a suite of pairs, in order; rows are named A and A+B
    pixels: dict[str, float]  # top1 and knn_top1 of raw pixels, where measured
    remarks: tuple[str, ...]
    command: str
    versions: dict[str, str]
    machine: str
    date: str  # on which it was run, UTC
    curves: tuple[str, ...] = PANELS  # metrics that are drawn over the epochs

    @property
    def commits(self) -> list[str]:
        """The commits of all runs."""
        return list(dict.fromkeys(run.commit for row in self.rows for run in row.runs if run.commit))

    @property
    def seeds_in_words(self) -> str:
        """Number of seeds of the rows: `1 seed`, `3 seeds`, `3 to 7 seeds`."""
        numbers = sorted({len(row.runs) for row in self.rows}) or [0]
        if len(numbers) > 1:
            return f"{numbers[0]} to {numbers[-1]} seeds"
        return f"{numbers[0]} seed{'' if numbers[0] == 1 else 's'}"

    @property
    def made_by(self) -> str:
        """The verb that runs it: `ssl-zoo bench suite=NAME`, or of a sweep `ssl-zoo train -m`."""
        sweep = "ssl-zoo train -m"
        return sweep if self.command.startswith(f"{sweep} ") else f"ssl-zoo bench suite={self.name}"

    @property
    def complete(self) -> bool:
        """Whether each row and seed has a result."""
        return all(run.finished for row in self.rows for run in row.runs)

    def row(self, name: str) -> RowRecord:
        """Returns the row of that name."""
        return next(row for row in self.rows if row.name == name)

    def _repr_html_(self) -> str:
        return suite_html(self)

    def write(self, folder: Path) -> None:
        """Writes `suite.json`, whole or not at all."""
        write_json(folder / RECORD, dataclasses.asdict(self))


def run_dir(run: RunRecord, folder: Path) -> Path:
    """Returns the run directory of a run; the suite's folder, to which its path is relative, need not exist yet."""
    return Path(os.path.normpath(folder / run.folder))


def read(folder: Path) -> SuiteRecord:
    """Reads a suite's record back.

    Raises:
        OSError, ValueError, KeyError, TypeError: there is none, or none of ours.
    """
    values = load_json(folder / RECORD)
    for row in values["rows"]:
        for run in row["runs"]:  # JSON has no nan: what is null there has no value
            run["values"] = {name: value for name, value in run["values"].items() if value is not None}
    rows = tuple(
        RowRecord(
            **{
                **row,
                "overrides": tuple(row["overrides"]),
                "runs": tuple(RunRecord(**run) for run in row["runs"]),
            }
        )
        for row in values["rows"]
    )
    claims = tuple(ClaimRecord(**claim) for claim in values["claims"])
    if unknown := {claim.state for claim in claims} - set(OUTCOMES):
        raise ValueError(f"outcomes are {', '.join(OUTCOMES)}; there is {', '.join(sorted(unknown))}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return SuiteRecord(**{**values, **lists, "rows": rows, "claims": claims})
