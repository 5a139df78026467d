"""Sections of a comparison of runs: tables of scores, settings and verdicts, and their curves in one chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.monitors.label_free import ORDER, spectrum
from ssl_zoo.pages.charts import Series, curves, curves_size, points
from ssl_zoo.pages.drawing import chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Badge, Block, Gallery, Prose, Section, Table
from ssl_zoo.reports.encoded_images import LAYER_NAMES, Outputs
from ssl_zoo.reports.ranking import LAYERS, SCORES, TITLES, ScoredRun, Z, correlations
from ssl_zoo.reports.run_sections import RunSummary
from ssl_zoo.run_dir.metrics_csv import column

__all__ = [
    "ComparedRun",
    "overlaid_curves",
    "overlaid_spectra",
    "reasons",
    "score_table",
    "settings",
    "trust",
]

COLOURED = 10  # runs at most that have a colour of their own
# Where a run is written and how fast it goes is no difference.
ABOUT_DATA = ("data.root", "data.workers", "data.cache_mb", "data.spool_gb")
NOT_COMPARED = ("run_dir", "resume", "trainer.", *ABOUT_DATA, "compile")


@dataclass(frozen=True)
class ComparedRun:
    """A run with what was measured of it."""

    summary: RunSummary
    scored_run: ScoredRun
    outputs: Outputs


def score_table(entries: Sequence[ComparedRun], comparable: bool) -> Section:
    """Tabulates all scores, a row for each run."""
    rows: list[tuple[str | Badge, ...]] = []
    for position, entry in enumerate(entries, 1):
        scored_run, summary = entry.scored_run, entry.summary
        half = Z * getattr(scored_run.errors["embeddings"], ORDER)
        rows.append(
            (
                f"{position}. {scored_run.name}",
                Badge(scored_run.verdict),
                f"{number(scored_run.score)} ± {number(half, 2)}",
                percent(summary.figure("linear_top1"), summary.figure("linear_top1_std")),
                percent(summary.figure("knn_top1")),
                *(number(getattr(scored_run.scores["embeddings"], name)) for name in SCORES if name != ORDER),
                *(number(getattr(scored_run.scores["features"], name)) for name in SCORES),
                f"{scored_run.widths['features']} / {scored_run.widths['embeddings']}",
            )
        )
    header = (
        "run", "verdict", f"{TITLES[ORDER]}, z", "linear probe", "kNN",
        *(f"{TITLES[name]}, z" for name in SCORES if name != ORDER), *(f"{TITLES[name]}, f" for name in SCORES),
        "width f / z",
    )  # fmt: skip
    caption = (
        f"By {TITLES[ORDER]} of z, the projector's outputs; f are the backbone's features. Runs that their verdict "
        "rules out come last. ± of scores: 95 %, over the images; of the linear probe: std over its draws."
    )
    if not comparable and any(entry.summary.figure("linear_top1") is not None for entry in entries):
        caption += (
            " The linear probes were measured on different data or in different ways: not to be compared."
        )
    return Section("table", "All scores", [Table(header, rows, caption)])


def trust(scored_runs: Sequence[ScoredRun]) -> Section:
    """Correlates the scores with the linear probe over these runs."""
    heading, (count, spearman) = "How far to trust the score", correlations(scored_runs)
    if not spearman:
        text = (
            f"Labels would tell: of these runs {count} {'has' if count == 1 else 'have'} a linear probe that can be "
            "compared, and a rank correlation takes four. Over 47 runs on digits, of 5 methods and their swaps, made "
            "after the score was chosen, its Spearman correlation with the linear probe was 0.79, and 0.53 over the "
            "35 healthy ones (docs/results/label-free.md of ssl-zoo)."
        )
        return Section("trust", heading, [Prose(text)])
    rows = [(TITLES[name], *(number(spearman[layer, name], 2) for layer in LAYERS)) for name in SCORES]
    caption = (
        f"Spearman's rank correlation with the linear probe over {count} of these runs; alpha-ReQ by its distance from "
        "1. 1: the same order; 0: no relation. Runs that differ by their seed alone are no independent evidence."
    )
    known = [
        scored_run
        for scored_run in scored_runs
        if scored_run.linear is not None and scored_run.score == scored_run.score
    ]
    places = [(scored_run.score, scored_run.linear or 0.0) for scored_run in known]
    labels = [str(scored_runs.index(scored_run) + 1) for scored_run in known]
    rho = spearman["embeddings", ORDER]
    picture = chart(
        "score-and-probe",
        points(
            "Score and linear probe",
            places,
            labels,
            x=f"{TITLES[ORDER]} of z",
            y="linear probe, top-1",
        ),
        alt=f"{len(known)} runs by score and linear probe; rank correlation {number(rho, 2)}.",
        caption="Numbers as in the table.",
        size=(4.6, 3.2),
    )
    text = (
        "Where labels exist, the score's order can be held against theirs. Here the rank correlation is "
        f"{number(rho, 2)}."
    )
    table = Table(("score", *(LAYER_NAMES[layer] for layer in LAYERS)), rows, caption)
    return Section("trust", heading, [Prose(text), table, Gallery([picture], wide=True)])


def overlaid_curves(entries: Sequence[ComparedRun]) -> Section | None:
    """Draws learning curves, one line for each run."""
    # The losses of two methods are no one scale, and learning rates are settings.
    methods = {entry.summary.run.config.method.name for entry in entries}
    hidden = {"lr"} if len(methods) == 1 else {"lr", "loss"}
    pictures, labels = [], _labels(entries)
    for name, metric in declared(CSV).items():
        if not metric.chart or name in hidden:
            continue
        series, values = [], []
        for index, entry in enumerate(entries[:COLOURED]):
            x, y = column(entry.summary.rows, name)
            if y:
                series.append(Series(labels[index], x, y, index))
                values.append(f"{entry.scored_run.name} {(percent if metric.is_fraction else number)(y[-1])}")
        if series:
            paint = curves(metric.chart, series, percent=metric.is_fraction, bottom=metric.bottom)
            alt = f"{metric.chart} over the epochs; at the last: {', '.join(values)}."
            file = f"curves-{name.replace('_', '-')}"
            pictures.append(chart(file, paint, alt=alt, size=curves_size(series)))
    if not pictures:
        return None
    return Section("curves", "Learning curves", [*_note_left_out(entries), Gallery(pictures, wide=True)])


def overlaid_spectra(entries: Sequence[ComparedRun]) -> Section | None:
    """Draws spectra, one line for each run."""
    pictures, labels = [], _labels(entries)
    for key, layer in LAYER_NAMES.items():
        series, values = [], []
        for index, entry in enumerate(entries[:COLOURED]):
            if not entry.outputs.finite:
                continue
            eigenvalues = spectrum(getattr(entry.outputs, key))
            fractions = (eigenvalues / eigenvalues.sum())[eigenvalues > 0].tolist()
            series.append(Series(labels[index], range(1, len(fractions) + 1), fractions, index))
            values += [f"{entry.scored_run.name} {percent(fractions[0])}"] if fractions else []
        if series:
            paint = curves(layer.capitalize(), series, x="eigenvalue, by size", log_y=True)
            largest = ", ".join(values)
            alt = (
                f"Eigenvalues of the covariance of the {layer}; the largest holds of the variance: {largest}."
            )
            pictures.append(chart(f"spectra-{key}", paint, alt=alt, size=curves_size(series)))
    if not pictures:
        return None
    return Section("spectrum", "Spectra", [*_note_left_out(entries), Gallery(pictures, wide=True)])


def _labels(entries: Sequence[ComparedRun]) -> list[str]:
    """Returns the names of the runs in pictures; numbers are those of the table."""
    return drawable([entry.scored_run.name for entry in entries], "run")


def _note_left_out(entries: Sequence[ComparedRun]) -> list[Block]:
    if len(entries) <= COLOURED:
        return []
    return [
        Prose(f"The first {COLOURED} of the table; the other {len(entries) - COLOURED} are left out here.")
    ]


def settings(entries: Sequence[ComparedRun]) -> Section:
    """Tabulates the keys in which the configurations differ."""
    flat = [_flat(to_mapping(entry.summary.run.config)) for entry in entries]
    keys = [
        key
        for key in dict.fromkeys(key for values in flat for key in values)
        if not key.startswith(NOT_COMPARED)
    ]
    differing = [key for key in keys if len({repr(values.get(key)) for values in flat}) > 1]
    if not differing:
        text = "The configurations are the same in all that is computed."
        return Section("settings", "What differs", [Prose(text)])
    rows = [
        (entry.scored_run.name, *(_written(values.get(key, "–")) for key in differing))
        for entry, values in zip(entries, flat, strict=True)
    ]
    table = Table(("run", *differing), rows, "Keys of the configurations that are not alike in all runs.")
    return Section("settings", "What differs", [table])


def reasons(entries: Sequence[ComparedRun]) -> Table:
    """Tabulates the verdicts in full."""
    rows = [(e.scored_run.name, Badge(e.scored_run.verdict), e.summary.explanation) for e in entries]
    return Table(("run", "verdict", "reason"), rows, "The verdict of each run, in its own words.", wordy=True)


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in _flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _written(value: Any) -> str:
    """Writes a value as YAML and the command line do."""
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))
