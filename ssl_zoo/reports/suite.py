"""The report of a suite: one page in HTML and in Markdown, its pictures, and all figures as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ssl_zoo.files.writing import write_file
from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.pages.html import page_files
from ssl_zoo.pages.markdown import markdown
from ssl_zoo.pages.page import Fact, Page
from ssl_zoo.reports.reference import reference_of_suite
from ssl_zoo.reports.suite_claims import claims, claims_badge, missing
from ssl_zoo.reports.suite_curves import learning_curves
from ssl_zoo.reports.suite_figures import figures
from ssl_zoo.reports.suite_provenance import commands, cost, protocol_section
from ssl_zoo.reports.suite_table import results
from ssl_zoo.suites.record import SuiteRecord

__all__ = ["contents", "suite_page", "write_report"]


def contents(record: SuiteRecord, folder: Path) -> dict[str, bytes]:
    """Returns the files of a suite's report by name: report.html, report.md, results.csv and each picture as a PNG.

    Args:
        record: of the suite, finished or not.
        folder: of the suite; the runs' folders are relative to it. Their metrics.csv give the learning curves.
    """
    page = suite_page(record, folder)
    texts = {"report.md": markdown(page), "results.csv": _csv(record)}
    return {**page_files(page), **{name: text.encode(errors="replace") for name, text in texts.items()}}


def write_report(record: SuiteRecord, folder: Path) -> None:
    """Writes the files into the suite's folder, each whole or not at all."""
    for name, file in contents(record, folder).items():
        write_file(folder / name, file)


def suite_page(record: SuiteRecord, folder: Path) -> Page:
    """Makes the page: the claims first, then the table that they are judged by, and the provenance last."""
    sections = [
        claims(record),
        results(record, reference_of_suite(record, folder)),
        learning_curves(record, folder),
        figures(record),
        cost(record, folder),
        protocol_section(record),
        commands(record),
    ]
    return Page(
        title=record.title,
        kicker=f"{record.paper}, {record.section}",
        source=record.source if record.source.startswith(("https://", "http://")) else "",
        lead=f"{record.question} {missing(record)}".strip(),
        badge=claims_badge(record),
        facts=_facts(record),
        sections=[section for section in sections if section is not None],
        foot=f"{record.made_by}, {record.date}. This page needs no network and no other file.",
    )


def _facts(record: SuiteRecord) -> list[Fact]:
    runs = [run for row in record.rows for run in row.runs]
    finished = sum(run.finished for run in runs)
    done = "all have a result" if finished == len(runs) else f"{finished} of {len(runs)} runs have a result"
    rows = len(record.rows)
    size = f"{rows} {'row' if rows == 1 else 'rows'} × {record.seeds_in_words}"
    return [
        Fact("data", record.data, record.data_in_words),
        Fact("runs", size, done),
        Fact("budget", record.budget, " ".join(record.overrides)),
        Fact("accuracy", "top-1", record.top1),
    ]


def _csv(record: SuiteRecord) -> str:
    """Returns a line for each row and seed, with all figures as they were measured; else empty."""
    recorded = [name for row in record.rows for run in row.runs for name in run.values]
    names = list(dict.fromkeys((*declared(SUITE), *record.protocols, *recorded)))
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
