"""`ssl-zoo train -m`: runs a sweep, and prints and writes what came of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from ssl_zoo.errors import Unfinished
from ssl_zoo.reports.bench import print_ending, unfinished
from ssl_zoo.reports.suite import write_report
from ssl_zoo.suites.aggregate import aggregate_of, heading
from ssl_zoo.suites.record import RowRecord, SuiteRecord
from ssl_zoo.suites.sweep import SweepRun
from ssl_zoo.terminal.console import Console

__all__ = ["run_sweep", "sweep"]

COLUMNS = ("top1", "knn_top1", "output_std_ratio", "loss", "seconds")


def sweep(overrides: Sequence[str], *, silent: bool = False) -> SuiteRecord:
    """Trains several runs: `ssl_zoo.sweep(["method=simsiam,byol", "seed=0,1"])`, as `ssl-zoo train -m` does.

    Args:
        overrides: those of training, some of them with several values, `key=a,b`; and see `SweepConfig`.
        silent: print nothing.

    Returns:
        The record that `suite.json` in the sweep's folder holds, a row for each combination of all keys but the seed.

    Raises:
        UserError: the overrides, or a combination of them, are wrong; nothing has been created.
        Unfinished: some runs failed; the others are done and reported.
        Interrupted: Ctrl-C; the runs are saved and the same overrides go on.
    """
    record, failure = run_sweep(overrides, silent=silent)
    if failure is not None:
        raise failure
    return record


def run_sweep(overrides: Sequence[str], *, silent: bool = False) -> tuple[SuiteRecord, Unfinished | None]:
    """Does what `sweep` does, and returns the record beside what it would raise where runs failed."""
    console, planned = Console(quiet=silent, wide=True), SweepRun(overrides, silent=silent)
    if planned.config.dry_run:
        console.print("\n".join(planned.commands()))
        return planned.record(), None
    record = planned.run()
    write_report(record, planned.folder)
    console.print(_table(record))
    print_ending(console, record, planned.folder)
    return record, unfinished(planned.runner)


def _table(record: SuiteRecord) -> Table:
    """Returns the summary: mean ± standard deviation over the seeds of each row."""
    columns = [name for name in COLUMNS if any(aggregate_of(row, name).values for row in record.rows)]
    title = f"{record.title}: mean ± std over {_finished_seeds(record)}"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="bold"
    )
    for name in ("run", *map(heading, columns), "verdict"):
        table.add_column(name, justify="left" if name in ("run", "verdict") else "right", overflow="fold")
    for row in record.rows:
        table.add_row(row.name, *(str(aggregate_of(row, name)) for name in columns), _verdicts(row))
    return table


def _finished_seeds(record: SuiteRecord) -> str:
    """Returns the number of seeds over which rows are aggregated: `3 seeds`, `1 to 3 seeds`."""
    finished = [
        dataclasses.replace(row, runs=tuple(run for run in row.runs if run.finished)) for row in record.rows
    ]
    return dataclasses.replace(record, rows=tuple(finished)).seeds_in_words


def _verdicts(row: RowRecord) -> str:
    counts = Counter(run.verdict or ("failed" if run.error else "no result yet") for run in row.runs)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} × {verdict}" for verdict, count in counts.most_common())
