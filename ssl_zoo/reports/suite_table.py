"""The table of a suite: the means of each row beside the paper's value, and the runs without a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ssl_zoo.pages.numbers import percent
from ssl_zoo.pages.page import Badge, Bar, Block, Cell, Prose, Section, Table
from ssl_zoo.reports.reference import Reference
from ssl_zoo.suites.aggregate import (
    Aggregate,
    aggregate_of,
    aggregate_over,
    distinct_runs,
    heading,
    is_fraction,
)
from ssl_zoo.suites.record import RowRecord, SuiteRecord

__all__ = ["VERDICT", "accuracy_of", "results", "verdict_of"]

VERDICT = "verdict"  # a column that is no metric
FAILED, WAITING = "failed", "no result yet"

AnyCell = str | Badge | Cell


def results(record: SuiteRecord, reference: Reference | None = None) -> Section:
    """Makes the table, with the reference below its rows if there is one, and lists the runs that are missing."""
    with_paper = any(row.paper is not None for row in record.rows)
    header = ["row"]
    for column in record.columns:
        header.append(VERDICT if column == VERDICT else heading(column))
        if with_paper and column == _paper_beside(record):
            header.append("paper")
    if _numbers_differ(record):
        header.append("seeds")
    rows = [_row(record, row, with_paper) for row in record.rows] + _baselines(record, with_paper, reference)
    blocks: list[Block] = [Table(header, rows, _caption(record, with_paper), sortable=True)]
    return Section("results", "Results", [*blocks, *_without_result(record)])


def accuracy_of(record: SuiteRecord) -> str | None:
    """Returns the first accuracy among the columns: it has bars, and the paper's value stands beside it."""
    return next((column for column in record.columns if column != VERDICT and is_fraction(column)), None)


def verdict_of(row: RowRecord) -> Badge | Cell:
    """Counts the verdicts of a row's seeds; a badge where all are the same."""
    states = [run.verdict or (FAILED if run.error else WAITING) for run in row.runs]
    counts = Counter(states)
    text = ", ".join(f"{count} × {state}" for state, count in counts.most_common())
    if len(counts) == 1:
        return Badge(text, like=states[0])
    return Cell(text or "–", text or None, left=True)


def _row(record: SuiteRecord, row: RowRecord, with_paper: bool) -> list[AnyCell]:
    cells: list[AnyCell] = [Cell(row.name, row.name, _notes(row), left=True)]
    for column in record.columns:
        if column == VERDICT:
            cells.append(verdict_of(row))
            continue
        paper = row.paper if column == accuracy_of(record) else None
        cells.append(_figure(aggregate_of(row, column), column == accuracy_of(record), paper))
        if with_paper and column == _paper_beside(record):
            cells.append(_paper(row.paper, in_percent=accuracy_of(record) is not None))
    if _numbers_differ(record):
        cells.append(Cell(str(len(row.runs)), len(row.runs)))
    return cells


def _numbers_differ(record: SuiteRecord) -> bool:
    """Whether some rows have more seeds than others, as with seeds=auto."""
    return len({len(row.runs) for row in record.rows}) > 1


def _figure(mean: Aggregate, with_bars: bool, paper: float | None = None) -> Cell:
    bars = [] if mean.mean is None else [Bar("here", mean.mean)]
    if paper is not None and 0 <= paper <= 100:
        bars.append(Bar("in the paper", paper / 100, hollow=True))
    return Cell(str(mean), mean.mean, bars=bars if with_bars else None)


def _paper(value: float | None, in_percent: bool) -> Cell:
    """Writes the paper's value as it is printed there, to one decimal at least."""
    if value is None:
        return Cell("–")
    text = f"{value:.1f}" if round(value, 1) == value else f"{value:g}"
    return Cell(f"{text} %" if in_percent else text, value)


def _paper_beside(record: SuiteRecord) -> str | None:
    """Returns the column to whose right the paper's values stand; None for a table of verdicts alone."""
    return accuracy_of(record) or next((column for column in record.columns if column != VERDICT), None)


def _baselines(record: SuiteRecord, with_paper: bool, reference: Reference | None) -> list[list[AnyCell]]:
    """Returns the rows of what the same classifiers reach with labels and without training."""
    untrained = {"top1": _untrained(record)}
    pixels = {name: Aggregate(name, (value,)) for name, value in record.pixels.items() if value is not None}
    lines = (
        *_supervised(record, reference),
        ("untrained encoder", "before training", untrained),
        ("raw pixels", "no encoder", pixels),
    )
    rows = []
    for name, note, means in lines:
        if not any(means[column].values for column in record.columns if column in means):
            continue
        cells: list[AnyCell] = [Cell(name, name, note, left=True)]
        for column in record.columns:
            empty = Cell("–", left=column == VERDICT)
            cells.append(_figure(means[column], column == accuracy_of(record)) if column in means else empty)
            if with_paper and column == _paper_beside(record):
                cells.append(Cell("–"))
        if _numbers_differ(record):
            cells.append(Cell("–"))
        rows.append(cells)
    return rows


def _supervised(
    record: SuiteRecord, reference: Reference | None
) -> list[tuple[str, str, dict[str, Aggregate]]]:
    """Returns the line of the reference; its `top1` is the linear probe's, as the rows' where no protocol is theirs."""
    if reference is None:
        return []
    means = {name: reference.aggregate(name) for name in ("linear_top1", "knn_top1")}
    if all(run.values.get("top1") == run.values.get("linear_top1") for run in distinct_runs(record)):
        means["top1"] = means["linear_top1"]
    count = len(reference.folders)
    return [(reference.label, f"trained with labels; {count} run{'s' * (count > 1)}", means)]


def _untrained(record: SuiteRecord) -> Aggregate:
    """Aggregates the untrained encoders; one that several rows share counts once for each seed."""
    metric, runs = "random_encoder_linear_top1", distinct_runs(record)
    values = {(run.seed, value) for run in runs for value in aggregate_over([run], metric).values}
    return Aggregate(metric, tuple(value for _, value in sorted(values)))


def _notes(row: RowRecord) -> str:
    missing = sum(not run.finished for run in row.runs)
    notes = [
        f"the same run as {row.same_as} on this data" if row.same_as else "",
        f"{missing} of {len(row.runs)} {'run' if len(row.runs) == 1 else 'runs'} without a result"
        if missing
        else "",
        row.note,
    ]
    return "; ".join(note for note in notes if note)


def _caption(record: SuiteRecord, with_paper: bool) -> str:
    spread = f"Mean ± standard deviation over {record.seeds_in_words}."
    sentences = [spread if len(record.seeds) > 1 else "One seed: no spread is known."]
    if "top1" in record.columns:
        sentences.append(f"top-1: {record.top1}.")
    if with_paper:
        sentences.append(
            f"paper: {record.paper_setting or f'as printed in {record.section}'}.".replace("..", ".")
        )
    column = accuracy_of(record)
    if column is not None:
        bars = f"Bars: {heading(column)} from 0 to 100 %"
        sentences.append(f"{bars}, below it in outline the paper's." if with_paper else f"{bars}.")
    baseline = _untrained(record)
    if baseline.values and "top1" not in record.columns:
        sentences.append(f"An untrained encoder reaches a top-1 of {percent(baseline.mean, baseline.std)}.")
    return " ".join(sentences)


def _without_result(record: SuiteRecord) -> Sequence[Block]:
    """Lists the runs that failed or were not run, each with its reason."""
    rows: list[list[AnyCell]] = []
    for row in record.rows:
        for run in row.runs:
            if run.finished and run.error is None:
                continue
            state = Badge(FAILED if run.error else WAITING)
            why = " ".join((run.error or "It was not run, or not to its end.").split())
            rows.append([Cell(row.name, row.name, left=True), str(run.seed), state, why])
    if not rows:
        return []
    text = "What follows is missing from the table above. The same command runs it again, and nothing else."
    return [Prose(text), Table(("row", "seed", "state", "why"), rows, "Runs without a result.", wordy=True)]
