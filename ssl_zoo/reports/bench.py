"""`ssl-zoo bench`: runs a suite, and writes and prints what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssl_zoo.errors import Unfinished
from ssl_zoo.reports.outcomes import counted
from ssl_zoo.reports.suite import write_report
from ssl_zoo.suites.record import SuiteRecord
from ssl_zoo.suites.run import SuiteRun
from ssl_zoo.suites.runner import Runner
from ssl_zoo.terminal.console import Console, styled

__all__ = ["bench", "print_ending", "run_suite", "unfinished"]

COLOURS = {
    "holds": "green",
    "fails": "red",
    "no difference": "blue",
    "undecided": "yellow",
    "not asked": "dim",
}


def bench(overrides: Sequence[str], *, silent: bool = False) -> SuiteRecord:
    """Runs a suite: `ssl_zoo.bench(["suite=simsiam_table1", "seeds=3"])`, as `ssl-zoo bench` does.

    Args:
        overrides: `key=value`; see `BenchConfig`. All others are overrides of training and hold for each row.
        silent: print nothing.

    Returns:
        The record that `suite.json` holds, in `OUT/SUITE-DATA-BUDGET`, with report.html, report.md and results.csv
        beside it.

    Raises:
        UserError: the overrides, the suite, a row or a claim is wrong; nothing has been created.
        Unfinished: some runs failed; the others are done, and the report says which failed and why.
        Interrupted: Ctrl-C; the runs are saved and the same overrides go on.
    """
    record, failure = run_suite(overrides, silent=silent)
    if failure is not None:
        raise failure
    return record


def run_suite(overrides: Sequence[str], *, silent: bool = False) -> tuple[SuiteRecord, Unfinished | None]:
    """Does what `bench` does, and returns the record beside what it would raise where runs failed."""
    console = Console(quiet=silent)
    suite = SuiteRun(overrides, silent=silent)
    if suite.config.dry_run:
        return suite.preview(), None
    record = suite.run()
    write_report(record, suite.folder)
    for claim in record.claims:
        console.print(styled((f"{claim.state:>13}", COLOURS[claim.state]), f"  {claim.text}: {claim.why}"))
    if record.claims:
        console.print(f"claims: {counted(claim.state for claim in record.claims)}", style="bold")
    print_ending(console, record, suite.folder, indent=7)
    return record, unfinished(suite.runner)


def print_ending(console: Console, record: SuiteRecord, folder: Path, *, indent: int = 0) -> None:
    """Prints the runs that failed, and where the report is."""
    for row in record.rows:
        for run in row.runs:
            if run.error:
                failed = (f"{'':{indent}}failed", "red")
                console.print(styled(failed, f"  {row.name}, seed {run.seed}: {run.error}"))
    console.print(f"written: {folder / 'report.html'}, report.md, results.csv")


def unfinished(runner: Runner) -> Unfinished | None:
    """Returns what is raised where runs failed, else None."""
    failed = len(runner.results.errors)
    if not failed:
        return None
    later = len(runner.failed) - failed
    blocked = f", and {later} that begin with their weights could not" if later else ""
    return Unfinished(
        f"{failed} run(s) failed{blocked}; the others are done and reported; the same command tries again"
    )
