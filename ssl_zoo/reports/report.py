"""`ssl-zoo report`: a page about a run or a suite, or a comparison of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.pages.html import page_files
from ssl_zoo.reports.folder import choose_folder, write
from ssl_zoo.reports.options import read_report
from ssl_zoo.reports.run import run_page
from ssl_zoo.reports.runs import comparison_of
from ssl_zoo.reports.suites_report import report_suites
from ssl_zoo.run_dir.saved_run import SavedRun, open_run
from ssl_zoo.suites.record import RECORD
from ssl_zoo.terminal.console import Console

__all__ = ["report"]


def report(overrides: Sequence[str], silent: bool = False) -> Path:
    """Writes a report: `report(["run=DIR"])`, as `ssl-zoo report run=DIR` does; of several runs a comparison.

    Args:
        overrides: `key=value`; see `ReportConfig`, and `data=`, `data.*` for other images than the run's own.
            Arguments without a key are runs, or suites: folders that `ssl-zoo bench` has written.
        silent: print nothing.

    Returns:
        The page, report.html; its pictures lie beside it as PNG and its figures in report.json.

    Raises:
        UserError: the overrides, a run, a suite or the images are wrong; nothing has been created.
    """
    show, log = Console(quiet=silent).print, Console(quiet=silent, stderr=True).print
    config, about_data = read_report(overrides)
    suites = _are_suites(config.run)
    if config.reference is not None and (suites or len(config.run) > 1):
        raise UserError(
            f"reference is an option of the report of one run; received reference={config.reference} with "
            f"{'a suite' if suites else f'{len(config.run)} runs'}; leave it out"
        )
    if suites:
        return report_suites(config, about_data, show)
    runs = [open_run(name) for name in config.run]
    _check_twice(config.run, runs)
    folder = choose_folder(config.out, runs)
    record: dict[str, Any] = {}
    if len(runs) == 1:
        page = run_page(runs[0], config, about_data, log)
    else:
        page, record = comparison_of(runs, config, about_data, log)
        show(page.lead)
    write(folder, page_files(page), {"title": page.title, "lead": page.lead, **record}, runs)
    show(f"written: {folder / 'report.html'}")
    return folder / "report.html"


def _check_twice(names: Sequence[str], runs: Sequence[SavedRun]) -> None:
    """Refuses a checkpoint that is named twice, by its run or by its path."""
    paths = [run.path.resolve() for run in runs]
    twice = [name for name, path in zip(names, paths, strict=True) if paths.count(path) > 1]
    if twice:
        raise UserError(f"each run is compared once; received '{twice[-1]}' again; leave one out")


def _are_suites(names: Sequence[str]) -> bool:
    """Whether the folders are suites.

    Raises:
        UserError: only some of them are.
    """
    suites = [name for name in names if (Path(name).expanduser() / RECORD).is_file()]
    others = [name for name in names if name not in suites]
    if suites and others:
        raise UserError(
            f"report compares suites with suites or runs with runs; received the suite '{suites[0]}' and "
            f"'{others[0]}', which holds no {RECORD}; name folders that ssl-zoo bench has written"
        )
    return bool(suites)
