"""Learning curves of a suite; where it names no others, SimSiam's Figure 2: loss, std of the outputs, kNN accuracy.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from ssl_zoo.metrics import METRICS, Metric
from ssl_zoo.pages.charts import Series, curves, draw_lines
from ssl_zoo.pages.drawing import Picture, Theme, chart
from ssl_zoo.pages.legend import LINES, add_legend, drawable, legend_height, short
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Block, Gallery, Prose, Section
from ssl_zoo.reports.suite_table import accuracy_of
from ssl_zoo.run_dir.metrics_csv import column, read_metrics
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.suites.aggregate import aggregate_of, heading
from ssl_zoo.suites.record import RowRecord, SuiteRecord

__all__ = ["learning_curves"]

COLOURED = 10  # rows at most that have a colour of their own
BLUE, RED = 0, 2  # of the colours; the paper's for its two rows
UNTRAINED = "untrained"  # the verdict of a row whose encoder was evaluated before its training
LONGEST = 34  # letters of a row's name
SCALES = (
    "similarity",
    "negatives",
    "assignment",
    "extra_gradient",
    "decorrelation",
)  # axes that change what a loss is


def learning_curves(record: SuiteRecord, folder: Path) -> Section | None:
    """Draws a line for each row, the mean over its seeds, with a band from the least to the most.

    Args:
        record: the suite.
        folder: its folder, in which its runs' folders lie.

    A row that begins with another's weights is drawn where that one ends.
    """
    trained = [row for row in record.rows if row.same_as is None and {*row.verdicts} != {UNTRAINED}]
    rows = trained[:COLOURED]
    labels = _labels(rows)
    begins = _first_epochs(record.rows, folder)
    one_scale = len({scale for row in rows for scale in _scales(row, folder)}) < 2
    drawn: list[tuple[Metric, list[Series]]] = []
    for panel in map(METRICS.get, [name for name in record.curves if one_scale or name != "loss"]):
        series = [
            line
            for index, (row, label) in enumerate(zip(rows, labels, strict=True))
            if (line := _line(row, folder, panel.name, label, _role(index, rows), begins[row.name]))
        ]
        drawn += [(panel, series)] if series else []
    if not drawn:
        return None
    pictures = [_picture(panel, series) for panel, series in drawn]
    together = (
        _together(record, drawn, dict(zip(labels, rows, strict=True))) if len(trained) <= COLOURED else None
    )
    blocks: list[Block] = [Prose(_text(record, len(trained), one_scale, together is not None))]
    return Section("curves", "Learning curves", [*blocks, Gallery(pictures, together=together)])


def _labels(rows: Sequence[RowRecord]) -> list[str]:
    """Returns names for a legend: numbers where a name cannot be drawn, or is cut to that of another."""
    labels = [short(name, LONGEST) for name in drawable([row.name for row in rows], "row")]
    return (
        labels if len(set(labels)) == len(rows) else [f"row {number}" for number in range(1, len(rows) + 1)]
    )


def _first_epochs(rows: Sequence[RowRecord], folder: Path) -> dict[str, float]:
    """Returns the epoch at which each row begins: 0, or the last one of the row whose weights it begins with."""
    by_name = {row.name: row for row in rows}

    def begin(row: RowRecord) -> float:
        before = by_name.get(row.start_from or "")
        if before is None:
            return 0.0
        measured = [line for run in before.runs for line in read_metrics(folder / run.folder)]
        return begin(before) + max((line.get("epoch", 0.0) for line in measured), default=0.0)

    return {name: begin(row) for name, row in by_name.items()}


def _line(
    row: RowRecord, folder: Path, name: str, label: str, role: int, begin: float = 0.0
) -> Series | None:
    """Returns the mean over the finished seeds, or over what there is, at the epochs that all of them measured."""
    runs = [run for run in row.runs if run.finished] or row.runs
    measured_by_run = [
        dict(zip(*column(read_metrics(folder / run.folder), name), strict=True)) for run in runs
    ]
    measured_by_run = [values for values in measured_by_run if values]
    epochs = sorted(set.intersection(*map(set, measured_by_run))) if measured_by_run else []
    values = [[of_run[epoch] for of_run in measured_by_run] for epoch in epochs]
    points = [
        (epoch, some) for epoch, some in zip(epochs, values, strict=True) if all(map(math.isfinite, some))
    ]
    if not points:
        return None
    at, measured = zip(*points, strict=True)
    band = (
        ([min(some) for some in measured], [max(some) for some in measured])
        if len(measured_by_run) > 1
        else None
    )
    return Series(
        label, [begin + epoch for epoch in at], [statistics.fmean(some) for some in measured], role, band
    )


def _scales(row: RowRecord, folder: Path) -> list[tuple[str, ...]]:
    """Returns what decides the scale of each run's loss: its method and the axes that change the loss."""
    results = [read_record(folder / run.folder / "result.json") for run in row.runs]
    return [
        (
            str(result.get("method")),
            *(str((result.get("differs_from_paper") or {}).get(axis)) for axis in SCALES),
        )
        for result in results
        if result is not None
    ]


def _role(index: int, rows: Sequence[RowRecord]) -> int:
    return (BLUE, RED)[index] if len(rows) == 2 else index


def _picture(panel: Metric, series: Sequence[Series]) -> Picture:
    write = percent if panel.is_fraction else number
    values = "; ".join(f"{line.label} {write(line.y[-1])}" for line in series)
    paint = curves(panel.chart, series, baselines=panel.lines, percent=panel.is_fraction, bottom=panel.bottom)
    return chart(
        f"curves-{panel.name.replace('_', '-')}",
        paint,
        alt=f"{panel.chart} over the epochs; at the last: {values}.",
        size=(3.5, 2.5 + legend_height([line.label for line in series], 3.5, LINES)),
    )


def _together(
    record: SuiteRecord, drawn: Sequence[tuple[Metric, Sequence[Series]]], rows: dict[str, RowRecord]
) -> Picture:
    """Draws all panels in one figure, as in the paper; its table stands in the legend."""
    metric = accuracy_of(record)
    shown = [label for label in rows if any(label == line.label for _, series in drawn for line in series)]
    texts = [_with_accuracy(label, rows[label], metric) for label in shown]
    width = 3.4 * len(drawn)
    style = replace(LINES, size=9.0, most=4)
    titles = ", ".join(panel.chart for panel, _ in drawn)

    def paint(figure: Figure, theme: Theme) -> None:
        handles = {}
        for axes, (panel, series) in zip(
            figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
        ):
            lines = draw_lines(
                axes, theme, panel.chart, series, panel.lines, percent=panel.is_fraction, bottom=panel.bottom
            )
            axes.set_xlabel("epoch")
            handles.update({line.label: handle for line, handle in zip(series, lines, strict=True)})
        add_legend(figure, [handles[label] for label in shown], texts, style)

    size = (width, 2.7 + legend_height(texts, width, style))
    return chart("figure", paint, alt=f"{titles} over the epochs. {'; '.join(texts)}.", size=size)


def _with_accuracy(label: str, row: RowRecord, metric: str | None) -> str:
    mean = aggregate_of(row, metric) if metric else None
    return f"{label}: {heading(mean.metric)} {mean}" if mean and mean.values else label


def _text(record: SuiteRecord, rows: int, one_scale: bool, with_file: bool) -> str:
    sentences = ["A line is the mean over the seeds, its band goes from the least to the most of them."]
    if len(record.seeds) == 1:
        sentences = ["A line is a run."]
    for known in map(METRICS.get, record.curves):
        if known.name == "output_std_ratio":
            sentences.append(
                "Std ratio: std of z/|z| per channel, times √d; 1 is spread evenly, 0 is collapsed."
            )
        elif known.reading:
            sentences.append(f"{known.chart}: {known.reading}.")
    if any(row.start_from for row in record.rows):
        sentences.append("A row that begins with another's weights is drawn after it.")
    if not one_scale and "loss" in record.curves:
        sentences.append(
            "The rows have different losses, which no common axis could compare: they are left out."
        )
    if rows > COLOURED:
        sentences.append(f"The first {COLOURED} of {rows} rows are drawn.")
    shared = [f"{row.name} (as {row.same_as})" for row in record.rows if row.same_as]
    if shared:
        sentences.append(f"Not drawn, since they are runs of other rows: {', '.join(shared)}.")
    if with_file:
        sentences.append("All panels in one picture: figure.png.")
    return " ".join(sentences)
