"""The comparison of several runs."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from ssl_zoo.monitors.label_free import ORDER, label_free, resampled
from ssl_zoo.pages.charts import IntervalRow, intervals
from ssl_zoo.pages.drawing import chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Block, Details, Gallery, Page, Prose, Section
from ssl_zoo.reports.encoded_images import Outputs, encode
from ssl_zoo.reports.image_sample import data_of, load_images
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.reports.ranking import (
    LAYERS,
    TITLES,
    ScoredRun,
    Z,
    correlations,
    overlap,
    sort_by_score,
    who_is_better,
    widths_differ,
)
from ssl_zoo.reports.run_sections import RunSummary, name_of
from ssl_zoo.reports.runs_sections import (
    ComparedRun,
    overlaid_curves,
    overlaid_spectra,
    reasons,
    score_table,
    settings,
    trust,
)
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["comparison_of"]


def comparison_of(
    runs: Sequence[SavedRun], config: ReportConfig, overrides: Sequence[str], log: Callable[[str], None]
) -> tuple[Page, dict[str, Any]]:
    """Scores all runs on the same images and makes the page that compares them; nothing is written.

    Args:
        runs: two or more; the images are those of the first unless the overrides name others.
        config: the options.
        overrides: about the data.
        log: prints a line of progress.

    Returns:
        The page, and its figures.

    Raises:
        UserError: the images are not there, or cannot be read; a weight is missing.
    """
    sample, entries, names = "", [], _names(runs)
    comparable = _one_protocol(runs)
    for run, name in zip(runs, names, strict=True):
        data = data_of(overrides, run, runs[0])
        images = load_images(data, config.samples, config.seed)
        if not sample:
            sample = images.in_words
            log(f"scoring {len(runs)} runs on {sample}")
        (outputs,) = encode([run.method().encoder], images, run.config.augment.size, data)
        entries.append(_compared_run(run, name, outputs, config.seed, comparable))
        log(f"  {name}: {_in_words(entries[-1].scored_run)}")
    scored_runs = sort_by_score([entry.scored_run for entry in entries])
    entries.sort(key=lambda entry: scored_runs.index(entry.scored_run))
    sections = [
        _answer(scored_runs, sample),
        score_table(entries, comparable),
        trust(scored_runs),
        overlaid_curves(entries),
        overlaid_spectra(entries),
        settings(entries),
        Section("reasons", "Verdicts", [reasons(entries)]),
    ]
    command = shlex.join(["ssl-zoo", "report", *config.run, *config.overrides(), *overrides])
    sections.append(Section("provenance", "Provenance", [Details("This comparison:", command, True)]))
    page = Page(
        title=f"{len(runs)} runs compared",
        kicker="ssl-zoo report",
        lead=_headline(scored_runs),
        sections=[section for section in sections if section is not None],
        foot=f"All runs are scored on {sample}, without augmentation. This page needs no network and no other file.",
    )
    return page, _record(scored_runs)


def _in_words(scored_run: ScoredRun) -> str:
    """Summarizes the score and the verdict of a run in a line."""
    probe = "" if scored_run.linear is None else f" · linear probe {percent(scored_run.linear)}"
    half = number(Z * getattr(scored_run.errors["embeddings"], ORDER), 2)
    return f"{TITLES[ORDER]} {number(scored_run.score)} ± {half}{probe} · {scored_run.verdict}"


def _compared_run(run: SavedRun, name: str, outputs: Outputs, seed: int, comparable: bool) -> ComparedRun:
    summary = RunSummary.of(run)
    layers = {"features": outputs.features, "embeddings": outputs.embeddings}
    scored_run = ScoredRun(
        name=name,
        verdict=summary.verdict if outputs.finite else "diverged",
        scores={layer: label_free(x) for layer, x in layers.items()},
        errors={layer: resampled(x, seed=seed) for layer, x in layers.items()},
        widths={layer: x.shape[1] for layer, x in layers.items()},
        linear=summary.figure("linear_top1") if comparable else None,
    )
    return ComparedRun(summary, scored_run, outputs)


def _names(runs: Sequence[SavedRun]) -> list[str]:
    """Returns folder names, with a checkpoint's that is not the last; with as much of the path as tells them apart."""
    short = [name_of(run) for run in runs]
    if len(set(short)) == len(short):
        return short
    root = os.path.commonpath([run.folder.resolve().parent for run in runs])
    parents = [os.path.relpath(run.folder.resolve().parent, root) for run in runs]
    return [os.path.normpath(os.path.join(*pair)) for pair in zip(parents, short, strict=True)]


def _one_protocol(runs: Sequence[SavedRun]) -> bool:
    """Whether the runs' linear probes were measured alike: on the same data, in the same way."""
    results = [
        summary.result for summary in map(RunSummary.of, runs) if summary.figure("linear_top1") is not None
    ]
    return len({(str(r.get("data")), str(r.get("linear_protocol"))) for r in results}) == 1


def _headline(scored_runs: Sequence[ScoredRun]) -> str:
    """Returns the answer in a sentence or two, with the linear probe's where that is another."""
    answer, (best, _) = _by_score(scored_runs), who_is_better(scored_runs)
    candidates = [scored_run for scored_run in scored_runs if scored_run.may_be_best]
    if widths_differ(candidates) and "width" not in answer:
        answer += " The outputs differ in width, with which the score grows."
    first = _first_by_probe(scored_runs)
    if best is None or first is None or first.name == best.name:
        return answer
    return f"{answer} The linear probe, which needs labels, puts {first.name} first."


def _first_by_probe(scored_runs: Sequence[ScoredRun]) -> ScoredRun | None:
    known = [scored_run for scored_run in scored_runs if scored_run.linear is not None]
    return max(known, key=lambda scored_run: scored_run.linear or 0.0) if len(known) > 1 else None


def _by_score(scored_runs: Sequence[ScoredRun]) -> str:
    best, close = who_is_better(scored_runs)
    if best is None:
        return "None of these runs can be called best: each one collapsed, diverged or did not learn."
    candidates = sum(scored_run.may_be_best for scored_run in scored_runs)
    out = len(scored_runs) - candidates
    if candidates == 1:
        return f"{best.name} is the only one not ruled out by its verdict; its score decides nothing."
    aside = f" {out} {'is' if out == 1 else 'are'} ruled out by verdict." if out else ""
    if close:
        wider = [scored_run for scored_run in close if scored_run.width != best.width]
        if wider and not overlap(wider[0], best):
            why = (
                f"its outputs are {best.width} wide and those of {wider[0].name} {wider[0].width}, and the score "
                "grows with the width"
            )
        else:
            others = close[0].name if len(close) == 1 else f"{len(close)} others"
            why = f"{others} cannot be told from it"
        return f"Undecided: {best.name} has the highest label-free score, but {why}.{aside}"
    return f"{best.name} has the highest label-free score of the {candidates} that may be best.{aside}"


def _answer(scored_runs: Sequence[ScoredRun], sample: str) -> Section:
    best, close = who_is_better(scored_runs)
    lines = [
        f"The score is the {TITLES[ORDER]} of the projector's outputs: over how many directions of like strength the "
        f"images are spread. It needs no labels. All runs are scored on {sample}. An interval covers 95 % of what "
        "another choice of such images would give; it says nothing of another training seed, which often changes a run "
        "by more."
    ]
    overlapping = [scored_run.name for scored_run in close if best is not None and overlap(scored_run, best)]
    if best is not None and overlapping:
        lines.append(
            f"Between {best.name} and {', '.join(overlapping)} the order is undecided: their intervals overlap."
        )
    first = _first_by_probe(scored_runs)
    if first is not None:
        agrees = best is not None and first.name == best.name
        lines.append(
            f"By the linear probe, which does need labels and is the better judge where there are some, "
            f"{first.name} is first with {percent(first.linear)}: {'the same run' if agrees else 'another run'}."
        )
    if widths_differ(scored_runs):
        lines.append(
            "The outputs differ in width. Ranks are bounded by it and grow with it: they compare outputs of one width. "
            "Where the first two of the order differ in it, the order is undecided."
        )
    labels = drawable([scored_run.name for scored_run in scored_runs], "run")
    scored = [pair for pair in zip(labels, scored_runs, strict=True) if not math.isnan(pair[1].score)]
    if not scored:
        return Section("better", "Which is better", [Prose(line) for line in lines])
    rows = [IntervalRow(label, run.score, *run.interval, faded=not run.may_be_best) for label, run in scored]
    scores = "; ".join(
        f"{run.name} {number(run.score)} ({number(run.interval[0])} to {number(run.interval[1])})"
        for _, run in scored
    )
    picture = chart(
        "scores",
        intervals(f"{TITLES[ORDER]} of the projector's outputs", rows),
        alt=f"{TITLES[ORDER].capitalize()} with 95 % intervals: {scores}.",
        caption="Hollow: runs that their verdict rules out, whatever their score. Numbers, if any, are the table's.",
        size=(5.2, 0.9 + 0.22 * len(rows)),
    )
    blocks: list[Block] = [Prose(line) for line in lines]
    return Section("better", "Which is better", [*blocks, Gallery([picture], wide=True)])


def _record(scored_runs: Sequence[ScoredRun]) -> dict[str, Any]:
    best, close = who_is_better(scored_runs)
    count, spearman = correlations(scored_runs)
    return {
        "order": f"{ORDER} of the projector's outputs",
        "widths_differ": widths_differ(scored_runs),
        "best": None if best is None or close else best.name,
        "undecided": [scored_run.name for scored_run in (best, *close) if scored_run is not None]
        if close
        else [],
        "runs_scored": [
            {
                "name": scored_run.name,
                "verdict": scored_run.verdict,
                "linear_top1": scored_run.linear,
                "width": scored_run.width,
                **{layer: dataclasses.asdict(scored_run.scores[layer]) for layer in LAYERS},
            }
            for scored_run in scored_runs
        ],
        "spearman": {f"{layer}.{name}": value for (layer, name), value in spearman.items()},
        "spearman_runs": count,
    }
