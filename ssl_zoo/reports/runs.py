"""The comparison of several runs."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from ssl_zoo.monitors.label_free import ORDER, label_free, resampled
from ssl_zoo.pages.charts import Interval, intervals
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
    Contender,
    Z,
    correlations,
    overlap,
    rank,
    who_is_better,
    widths_differ,
)
from ssl_zoo.reports.run_sections import RunSummary, name_of
from ssl_zoo.reports.runs_sections import (
    Entry,
    overlaid_curves,
    overlaid_spectra,
    reasons,
    score_table,
    settings,
    trust,
)
from ssl_zoo.runs.saved_run import SavedRun

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
        entries.append(_entry(run, name, outputs, config.seed, comparable))
        log(f"  {name}: {_in_words(entries[-1].contender)}")
    contenders = rank([entry.contender for entry in entries])
    entries.sort(key=lambda entry: contenders.index(entry.contender))
    sections = [
        _answer(contenders, sample),
        score_table(entries, comparable),
        trust(contenders),
        overlaid_curves(entries),
        overlaid_spectra(entries),
        settings(entries),
        Section("reasons", "Verdicts", [reasons(entries)]),
    ]
    command = shlex.join(["ssl-zoo", "report", *config.run, *config.overrides(), *overrides])
    sections.append(Section("provenance", "How it was made", [Details("This comparison:", command, True)]))
    page = Page(
        title=f"{len(runs)} runs compared",
        kicker="ssl-zoo report",
        lead=_headline(contenders),
        sections=[section for section in sections if section is not None],
        foot=f"All runs are scored on {sample}, without augmentation. This page needs no network and no other file.",
    )
    return page, _record(contenders)


def _in_words(contender: Contender) -> str:
    """Summarizes the score and the verdict of a run in a line."""
    probe = "" if contender.linear is None else f" · linear probe {percent(contender.linear)}"
    half = number(Z * getattr(contender.errors["embeddings"], ORDER), 2)
    return f"{TITLES[ORDER]} {number(contender.score)} ± {half}{probe} · {contender.verdict}"


def _entry(run: SavedRun, name: str, outputs: Outputs, seed: int, comparable: bool) -> Entry:
    summary = RunSummary.of(run)
    layers = {"features": outputs.features, "embeddings": outputs.embeddings}
    contender = Contender(
        name=name,
        verdict=summary.verdict if outputs.finite else "diverged",
        scores={layer: label_free(x) for layer, x in layers.items()},
        errors={layer: resampled(x, seed=seed) for layer, x in layers.items()},
        widths={layer: x.shape[1] for layer, x in layers.items()},
        linear=summary.figure("linear_top1") if comparable else None,
    )
    return Entry(summary, contender, outputs)


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


def _headline(contenders: Sequence[Contender]) -> str:
    """Returns the answer in a sentence or two, with the linear probe's where that is another."""
    answer, (best, _) = _by_score(contenders), who_is_better(contenders)
    candidates = [contender for contender in contenders if contender.may_be_best]
    if widths_differ(candidates) and "width" not in answer:
        answer += " The outputs differ in width, with which the score grows."
    first = _first_by_probe(contenders)
    if best is None or first is None or first.name == best.name:
        return answer
    return f"{answer} The linear probe, which needs labels, puts {first.name} first."


def _first_by_probe(contenders: Sequence[Contender]) -> Contender | None:
    known = [contender for contender in contenders if contender.linear is not None]
    return max(known, key=lambda contender: contender.linear or 0.0) if len(known) > 1 else None


def _by_score(contenders: Sequence[Contender]) -> str:
    best, close = who_is_better(contenders)
    if best is None:
        return "None of these runs can be called best: each one collapsed, diverged or did not learn."
    candidates = sum(contender.may_be_best for contender in contenders)
    out = len(contenders) - candidates
    if candidates == 1:
        return f"{best.name} is the only one not ruled out by its verdict; its score decides nothing."
    aside = f" {out} {'is' if out == 1 else 'are'} ruled out by verdict." if out else ""
    if close:
        wider = [contender for contender in close if contender.width != best.width]
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


def _answer(contenders: Sequence[Contender], sample: str) -> Section:
    best, close = who_is_better(contenders)
    lines = [
        f"The score is the {TITLES[ORDER]} of the projector's outputs: over how many directions of like strength the "
        f"images are spread. It needs no labels. All runs are scored on {sample}. An interval covers 95 % of what "
        "another choice of such images would give; it says nothing of another training seed, which often changes a run "
        "by more."
    ]
    overlapping = [contender.name for contender in close if best is not None and overlap(contender, best)]
    if best is not None and overlapping:
        lines.append(
            f"Between {best.name} and {', '.join(overlapping)} the order is undecided: their intervals overlap."
        )
    first = _first_by_probe(contenders)
    if first is not None:
        agrees = best is not None and first.name == best.name
        lines.append(
            f"By the linear probe, which does need labels and is the better judge where there are some, "
            f"{first.name} is first with {percent(first.linear)}: {'the same run' if agrees else 'another run'}."
        )
    if widths_differ(contenders):
        lines.append(
            "The outputs differ in width. Ranks are bounded by it and grow with it: they compare outputs of one width. "
            "Where the first two of the order differ in it, the order is undecided."
        )
    labels = drawable([contender.name for contender in contenders], "run")
    scored = [pair for pair in zip(labels, contenders, strict=True) if not math.isnan(pair[1].score)]
    if not scored:
        return Section("better", "Which is better", [Prose(line) for line in lines])
    rows = [Interval(label, run.score, *run.interval, faded=not run.may_be_best) for label, run in scored]
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


def _record(contenders: Sequence[Contender]) -> dict[str, Any]:
    best, close = who_is_better(contenders)
    count, spearman = correlations(contenders)
    return {
        "order": f"{ORDER} of the projector's outputs",
        "widths_differ": widths_differ(contenders),
        "best": None if best is None or close else best.name,
        "undecided": [contender.name for contender in (best, *close) if contender is not None]
        if close
        else [],
        "runs_scored": [
            {
                "name": contender.name,
                "verdict": contender.verdict,
                "linear_top1": contender.linear,
                "width": contender.width,
                **{layer: dataclasses.asdict(contender.scores[layer]) for layer in LAYERS},
            }
            for contender in contenders
        ],
        "spearman": {f"{layer}.{name}": value for (layer, name), value in spearman.items()},
        "spearman_runs": count,
    }
