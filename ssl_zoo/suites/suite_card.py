"""What a suite shows of itself in a notebook: its table and its claims. Its report has the curves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ssl_zoo.pages.card import Card, CardTable, card_html
from ssl_zoo.pages.page import Badge, Cell
from ssl_zoo.suites.aggregate import aggregate_of, heading

if TYPE_CHECKING:
    from ssl_zoo.suites.record import RowRecord, SuiteRecord

__all__ = ["suite_html"]

VERDICT = "verdict"  # a column that is no metric


def suite_html(record: SuiteRecord) -> str:
    """Returns the card of a suite as HTML."""
    claims: list[list[str | Badge | Cell]] = [
        [Badge(claim.state), Cell(claim.text, note=claim.why)] for claim in record.claims
    ]
    tables = [CardTable(_headings(record), [_row(record, row) for row in record.rows])]
    if claims:
        tables.append(CardTable(("claim", ""), claims))
    finished = sum(run.finished for row in record.rows for run in row.runs)
    total = sum(len(row.runs) for row in record.rows)
    missing = "" if finished == total else f"{total - finished} of {total} runs have no result"
    setting = (
        f"{record.paper}, {record.section} · {record.data} · budget {record.budget} · {record.seeds_in_words}"
    )
    return card_html(
        Card(
            record.title,
            texts=[*filter(None, [record.question, missing, *record.remarks])],
            tables=tables,
            foot=f"{setting} · mean ± standard deviation · {record.command}",
        )
    )


def _headings(record: SuiteRecord) -> list[str]:
    columns = [VERDICT if column == VERDICT else heading(column) for column in record.columns]
    return ["", *columns, *(["paper"] if _has_paper(record) else [])]


def _has_paper(record: SuiteRecord) -> bool:
    return any(row.paper is not None for row in record.rows)


def _row(record: SuiteRecord, row: RowRecord) -> list[str | Badge | Cell]:
    cells: list[str | Badge | Cell] = [Cell(row.name, note=row.note)]
    cells += [
        _verdicts(row) if column == VERDICT else str(aggregate_of(row, column)) for column in record.columns
    ]
    if _has_paper(record):
        cells.append("–" if row.paper is None else f"{row.paper:g}")
    return cells


def _verdicts(row: RowRecord) -> str | Badge:
    counts = Counter(run.verdict or ("failed" if run.error else "no result yet") for run in row.runs)
    text = ", ".join(f"{count} × {verdict}" for verdict, count in counts.most_common())
    return Badge(text, like=next(iter(counts))) if len(counts) == 1 else text or "–"
