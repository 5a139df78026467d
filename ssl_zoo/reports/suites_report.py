"""`ssl-zoo report` of suites: the comparison of several, or the report of one once more."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.pages.html import page_files
from ssl_zoo.pages.markdown import markdown
from ssl_zoo.reports.folder import RECORD as REPORT
from ssl_zoo.reports.folder import choose_folder, write
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.reports.suite import write_report
from ssl_zoo.reports.suites import suites_page
from ssl_zoo.reports.suites_changes import Change, Side, compare_suites, count_changes
from ssl_zoo.reports.suites_diff import (
    ComparedSuite,
    changed_claims,
    changed_verdicts,
    differing_settings,
    labels,
    shared_rows,
)
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.suites.record import RECORD, SuiteRecord, read

__all__ = ["report_suites"]

SIDE = ("suite", "seeds", "mean", "std")
COLUMNS = ("difference", "low", "high", "p", "corrected", "state")


def report_suites(config: ReportConfig, about_data: Sequence[str], show: Callable[[str], None]) -> Path:
    """Writes the comparison of several suites into a folder of its own; the report of one into the suite's folder.

    Args:
        config: the options; `run` are folders with a suite.json.
        about_data: overrides about the data, of which there must be none.
        show: prints a line of the result.

    Returns:
        The page, report.html.

    Raises:
        UserError: a record cannot be read, a suite is named twice, no row is shared, or the folder holds other files;
            nothing has been created.
    """
    unread = [*config.overrides(), *about_data]
    if unread:
        raise UserError(
            f"a report of suites is made from their records and reads no images; received '{unread[0]}'; leave it out"
        )
    folders = [Path(name).expanduser().resolve() for name in config.run]
    twice = [name for name, folder in zip(config.run, folders, strict=True) if folders.count(folder) > 1]
    if twice:
        raise UserError(f"each suite is compared once; received '{twice[-1]}' again; leave one out")
    records = [_read(folder) for folder in folders]
    if len(folders) == 1:
        folder = _rewritten(records[0], folders[0], config.out)
    else:
        suites = list(map(ComparedSuite, labels(folders), folders, records))
        folder = _comparison(suites, config, show)
    show(f"written: {folder / 'report.html'}")
    return folder / "report.html"


def _read(folder: Path) -> SuiteRecord:
    try:
        return read(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"a suite's record must be whole; '{folder / RECORD}' cannot be read "
            f"({type(error).__name__}: {error}); run the suite again with ssl-zoo bench, which keeps finished rows"
        ) from error


def _rewritten(record: SuiteRecord, folder: Path, out: str | None) -> Path:
    if out is not None:
        raise UserError(
            f"the report of one suite is written into its own folder; received out={out}; leave out= away"
        )
    check_writable(folder, "a report needs a folder that can be written", "copy the suite elsewhere")
    write_report(record, folder)
    return folder


def _comparison(suites: Sequence[ComparedSuite], config: ReportConfig, show: Callable[[str], None]) -> Path:
    if not shared_rows(suites):
        rows = "; ".join(
            f"'{suite.label}' has {', '.join(row.name for row in suite.record.rows) or 'no rows'}"
            for suite in suites
        )
        raise UserError(
            f"suites are compared by the rows whose names they share; received none: {rows}; name suites with a row "
            "in common"
        )
    folder = _choose(suites, config.out)
    changes = compare_suites(suites)
    page = suites_page(suites, changes, shlex.join(["ssl-zoo", "report", *config.run]))
    show(page.lead)
    files = {
        **page_files(page),
        "report.md": markdown(page).encode(errors="replace"),
        "comparison.csv": _csv(changes).encode(errors="replace"),
        "comparison.json": (json.dumps(_values(suites, changes), indent=2) + "\n").encode(),
    }
    write(folder, files, {"title": page.title, "lead": page.lead, "suites": _folders(suites)}, [])
    return folder


def _folders(suites: Sequence[ComparedSuite]) -> list[str]:
    return [str(suite.folder) for suite in suites]


def _choose(suites: Sequence[ComparedSuite], out: str | None) -> Path:
    """Chooses the folder by the rules of reports of runs; nothing is created.

    An earlier report there must be of the same suites, wherever they stood in the order.
    """
    if out is None:
        # The reference is another in another order, and so is the comparison.
        records = [
            f"{suite.folder} {hashlib.sha256((suite.folder / RECORD).read_bytes()).hexdigest()}"
            for suite in suites
        ]
        digest = hashlib.sha256("\n".join(records).encode(errors="surrogateescape")).hexdigest()[:8]
        shared = Path(os.path.commonpath([suite.folder.parent for suite in suites]))
        out = str(shared / f"comparison-of-{len(suites)}-suites-{digest}")
    folder = choose_folder(out, [])
    if (folder / REPORT).is_file():
        before = (read_record(folder / REPORT) or {}).get("suites")
        if not isinstance(before, list) or sorted(map(str, before)) != sorted(map(str, _folders(suites))):
            raise UserError(
                f"out must be new, empty or an earlier comparison of the same suites; '{folder}' compares others; name "
                "another with out="
            )
    return folder


def _csv(changes: Sequence[Change]) -> str:
    """Returns a line for each comparison; accuracies are fractions of 1, and what was not measured is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["row", "metric", *(f"{side}_{key}" for side in ("before", "after") for key in SIDE), *COLUMNS]
    )
    for change in changes:
        sides = [
            value
            for side in (change.before, change.after)
            for value in (side.suite, len(side.values), side.mean, side.std)
        ]
        writer.writerow([change.row, change.metric, *sides, *(getattr(change, key) for key in COLUMNS)])
    return file.getvalue()


def _values(suites: Sequence[ComparedSuite], changes: Sequence[Change]) -> dict[str, Any]:
    """Returns all that the page shows, as plain values."""
    return {
        "suites": [
            {"label": suite.label, "folder": str(suite.folder), "name": suite.record.name} for suite in suites
        ],
        "rows_by_accuracy": dataclasses.asdict(count_changes(changes)),
        "differences": differing_settings(suites),
        "verdicts_changed": changed_verdicts(suites),
        "claims": {
            text: {"states": {suite.label: suite.state(text) for suite in suites}, "changed": changed}
            for text, changed in changed_claims(suites).items()
        },
        "changes": [
            {
                **dataclasses.asdict(change),
                "before": _side_values(change.before),
                "after": _side_values(change.after),
            }
            for change in changes
        ],
    }


def _side_values(side: Side) -> dict[str, Any]:
    return {**dataclasses.asdict(side), "mean": side.mean, "std": side.std}
