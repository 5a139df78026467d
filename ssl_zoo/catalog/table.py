"""A table of runs: `ssl_zoo.runs("runs/").where("method=simsiam").sort("knn")`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_zoo.catalog.cells import cell
from ssl_zoo.catalog.changes import Changes, changes_between, differing_keys
from ssl_zoo.catalog.conditions import read_conditions, select
from ssl_zoo.catalog.html import html_table
from ssl_zoo.catalog.names import Names, short_name
from ssl_zoo.catalog.suite_notes import SuiteNotes
from ssl_zoo.catalog.text import lay_out
from ssl_zoo.errors import UserError, suggest
from ssl_zoo.files.paths import user_path
from ssl_zoo.run_dir.find import find_folders
from ssl_zoo.run_dir.listed_run import ListedRun

__all__ = ["RunTable", "read_table", "runs"]

BEFORE = ("run", "method", "differs", "data", "seed", "epoch")
METRICS = ("linear_top1", "knn_top1", "output_std_ratio")
AFTER = ("outcome", "time", "date")
ALWAYS = {"run", "method", "outcome"}  # columns that are shown though all runs may lack a value
LOWER = {"loss", "time", "train_seconds", "peak_memory_mb"}  # the best value is the least
SHOWN, MOST = 20, 200  # rows of a table's repr, as text and in a notebook


def runs(folder: str | Path = "runs", *conditions: str) -> RunTable:
    """Lists the runs below a folder: `ssl_zoo.runs("runs/", "method=simsiam", "knn>80")`.

    Files are read when a value in them is asked for; no run is opened and torch is not imported.

    Args:
        folder: a folder with run directories at any depth, or a run directory.
        conditions: see `RunTable.where`.

    Raises:
        UserError: there is no such folder, or a condition names what no run has.
    """
    return read_table([user_path(str(folder), "folder")]).where(*conditions)


@dataclass(frozen=True)
class RunTable:
    """Runs in an order, with columns. Each method returns a new table.

    Attributes:
        rows: the runs; `row.folder`, `row.state`, `row.config["optimizer.lr"]`, `row.metrics["knn_top1"]`.
        names: finds the values that names stand for.
        columns: full names of what is shown.
        passed_over: what was found and is no run, each with the reason.
    """

    rows: tuple[ListedRun, ...]
    names: Names
    chosen: tuple[str, ...] | None = None
    passed_over: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ListedRun]:
        return iter(self.rows)

    def __getitem__(self, which: int | str) -> ListedRun:
        """Returns a run by its number, or by its name; see `find`."""
        return self.find(which) if isinstance(which, str) else self.rows[which]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that were chosen, or else those in which the runs have values."""
        if self.chosen is not None:
            return self.chosen
        known = [name for name in METRICS if name in self.names.metrics]
        return tuple(
            name
            for name in (*BEFORE, *known, *AFTER)
            if name in ALWAYS or any(self.value(run, name) is not None for run in self.rows)
        )

    def value(self, run: ListedRun, name: str) -> Any:
        """Returns a run's value by a name: accuracies as fractions of 1."""
        return self.names.value(run, self.names.find(name))

    def where(self, *conditions: str) -> RunTable:
        """Returns the runs of which all conditions hold: `where("method=byol", "seed=0..4", "knn>80")`.

        Raises:
            UserError: a condition cannot be read, or names what no run has.
        """
        read = read_conditions(conditions, self.names)
        return self._with(rows=tuple(select(self.rows, read, self.names)))

    def sort(self, name: str) -> RunTable:
        """Returns the runs by a value: figures from the largest on, words by the alphabet; `-knn` is the reverse.

        Runs without the value come last.
        """
        full = self.names.find(name.removeprefix("-"))
        values = [(self.names.value(run, full), run) for run in self.rows]
        figures = [(v, run) for v, run in values if isinstance(v, (int, float)) and v == v]
        words = [(str(v), run) for v, run in values if isinstance(v, (str, list))]
        figures.sort(key=lambda pair: pair[0], reverse=not name.startswith("-"))
        words.sort(key=lambda pair: pair[0], reverse=name.startswith("-") != (full == "date"))
        ordered = [run for _, run in (*figures, *words)]
        has_value = {id(run) for run in ordered}
        return self._with(rows=(*ordered, *(run for run in self.rows if id(run) not in has_value)))

    def best(self, name: str) -> ListedRun:
        """Returns the run with the best value of a metric: the least of a loss, a time or a memory, else the largest.

        Only runs with a result are compared: a figure of a training that is under way may still fall.

        Raises:
            UserError: no run with a result has it.
        """
        full = self.names.find(name)
        with_result = self.only(*(run for run in self.rows if run.result))
        ordered = with_result.sort(f"{'-' if full in LOWER else ''}{full}")
        value = None if not ordered.rows else self.names.value(ordered.rows[0], full)
        if not isinstance(value, (int, float)) or value != value:
            raise UserError(
                f"best takes a metric that some run with a result has; of these {len(self)} runs {len(with_result)} "
                f"have a result and none of them a '{name}'; sort={name} lists the others' too"
            )
        return ordered.rows[0]

    def select(self, *names: str) -> RunTable:
        """Returns a table of these columns: `select("run", "optimizer.lr", "knn")`."""
        return self._with(chosen=tuple(dict.fromkeys(self.names.find(name) for name in names)))

    def differing(self) -> RunTable:
        """Returns a table with a column for each key of the configuration in which the runs differ."""
        keys = differing_keys(self.rows, self.names)
        kept = [name for name in self.columns if name not in ("differs", "date", "time", *keys)]
        at = kept.index("epoch") if "epoch" in kept else 1
        return self._with(chosen=(*kept[:at], *keys, *kept[at:]))

    def only(self, *rows: ListedRun) -> RunTable:
        """Returns a table of these runs."""
        return self._with(rows=rows)

    def head(self, count: int) -> RunTable:
        """Returns the first runs."""
        return self._with(rows=self.rows[:count])

    def diff(self, *which: str | int | ListedRun) -> Changes:
        """Compares runs, by their names or numbers: the keys in which they differ, and their metrics.

        Raises:
            UserError: fewer than two, or no run of that name.
        """
        chosen = [one if isinstance(one, ListedRun) else self[one] for one in which]
        if len(chosen) < 2:
            raise UserError(f"diff compares two runs or more; received {len(chosen)}; name them: diff=A,B")
        return changes_between(chosen, self.names)

    def find(self, name: str) -> ListedRun:
        """Returns the run of that name, or path, or of just one name that has this as a part.

        Raises:
            UserError: there is none, or several.
        """
        trimmed = name.rstrip("/")
        path = os.path.abspath(os.path.expanduser(trimmed))
        exact = [run for run in self.rows if run.name == trimmed or os.path.abspath(run.folder) == path]
        matching = exact or [run for run in self.rows if name in run.name]
        if len(matching) == 1:
            return matching[0]
        listed = [run.name for run in self.rows]
        if matching:
            raise UserError(
                f"a run is named by a part that no other has; '{name}' is in {len(matching)} names"
            )
        raise UserError(
            f"unknown run '{name}' among {len(listed)}{suggest(name, listed)}; see the column 'run'"
        )

    def as_records(self) -> list[dict[str, Any]]:
        """Returns the values by the full names of the columns, a mapping for each run, with its state and verdict."""
        columns = dict.fromkeys(("run", "state", "verdict", *self.columns))
        return [
            {"folder": str(run.folder), **{name: self.names.value(run, name) for name in columns}}
            for run in self.rows
        ]

    def to_pandas(self) -> Any:
        """Returns `as_records` as a DataFrame; pandas must be installed.

        Raises:
            UserError: it is not.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("to_pandas needs pandas, which is not installed; pip install pandas") from error
        return pandas.DataFrame.from_records(self.as_records())

    def headings(self) -> list[str]:
        """Returns the short names of the columns, as conditions take them."""
        return [short_name(name, self.names) for name in self.columns]

    def cells(self) -> list[list[str]]:
        """Returns the text of each cell."""
        return [[cell(name, self.names.value(run, name), run) for name in self.columns] for run in self.rows]

    def __repr__(self) -> str:
        if not self.rows:
            return "no runs"
        shown = self.head(SHOWN)._with(chosen=self.columns)
        lines = lay_out(shown.columns, shown.headings(), shown.cells(), None).lines
        more = [] if len(self) <= SHOWN else [f"… and {len(self) - SHOWN} more runs"]
        return "\n".join([*lines, *more])

    def _repr_html_(self) -> str:
        shown = self.head(MOST)._with(chosen=self.columns)
        foot = "" if len(self) <= MOST else f"… and {len(self) - MOST} more runs"
        return html_table(f"{len(self)} runs", self.columns, self.headings(), shown.cells(), foot)

    def _with(self, **changes: Any) -> RunTable:
        return dataclasses.replace(self, **changes)


def read_table(folders: Sequence[Path]) -> RunTable:
    """Finds the runs below folders, each once; a run's name is its path below the folder, or of several the whole path.

    Raises:
        UserError: there is no such folder.
    """
    rows, passed_over, suites = dict[str, ListedRun](), list[str](), SuiteNotes()
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise UserError(
                f"runs are listed below a folder; '{folder}' {what}; name the folder that holds them"
            )
        for found in find_folders(folder):
            if found.is_suite:
                suites.add(found.folder)
                continue
            if len(folders) > 1:
                found = found._replace(name=str(found.folder))
            run = ListedRun(found, suites.of)
            if not _is_there(run):
                continue
            if run.is_foreign:
                passed_over.append(f"'{run.name}' is passed over: {run.problem}")
            else:
                rows.setdefault(os.path.realpath(run.folder), run)
    runs = tuple(rows.values())
    return RunTable(runs, Names(runs), passed_over=tuple(passed_over))


def _is_there(run: ListedRun) -> bool:
    """Whether a run is still there once its configuration has been read; an empty start of one doesn't count."""
    if run.config_problem is not None and not run.folder.is_dir():
        return False
    begun = {name for name in run.files if not name.startswith(".")}
    return bool(begun) or run.state == "starting"
