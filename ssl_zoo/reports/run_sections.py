"""Sections of a run's report that its files alone give: accuracies, collapse diagnostics, provenance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.config.schema import SiameseConfig
from ssl_zoo.metrics import computed
from ssl_zoo.pages.numbers import number, percent, seconds
from ssl_zoo.pages.page import Badge, Block, Details, Fact, Prose, Section, Table
from ssl_zoo.reports.reference import Reference
from ssl_zoo.run_dir.checkpoints import LAST
from ssl_zoo.run_dir.metrics_csv import MetricsRow, read_metrics
from ssl_zoo.run_dir.naming import differing_axes, variant
from ssl_zoo.run_dir.run_files import read_environment, typed_command
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["RunSummary", "accuracies", "badge", "diagnostics", "facts", "name_of", "title"]


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """Figures in a run's files about the weights of a checkpoint; absent ones are None."""

    run: SavedRun
    result: Mapping[str, Any]  # empty for an unfinished run, and for a checkpoint that is not of its end
    rows: list[MetricsRow]  # up to the checkpoint's epoch

    @classmethod
    def of(cls, run: SavedRun) -> RunSummary:
        """Reads the files of a run."""
        rows = [row for row in read_metrics(run.folder) if row.get("epoch", math.inf) <= run.position.epoch]
        return cls(run, (run.result or {}) if run.is_last else {}, rows)

    @property
    def verdict(self) -> str:
        """The verdict in a word; `unfinished` where there is none yet."""
        return str(self.result.get("verdict") or ("no verdict" if self.run.is_finished else "unfinished"))

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        if self.result:
            reason = str(self.result.get("verdict_reason") or "")
            return reason[:1].upper() + reason[1:]
        done, epochs = self.run.position.epoch, self.run.config.epochs
        if self.run.result:
            return (
                f"A checkpoint of epoch {done} of {epochs}. The verdict, the linear probe and the baselines of "
                "result.json are of the run's end and not of these weights: they are left out."
            )
        return (
            f"{done} of {epochs} epochs are trained and there is no result.json: no verdict yet, no linear probe and "
            "no baselines. What follows is of the last checkpoint."
        )

    @property
    def explanation(self) -> str:
        """The verdict in a sentence, and where it is not healthy the likely cause with one thing to try."""
        cause, action = self.result.get("cause"), self.result.get("remedy")
        return f"{self.reason} Likely cause: {cause}. To try: {action}" if cause and action else self.reason

    def figure(self, name: str) -> float | None:
        """Returns a figure of result.json or, without it, the last one measured."""
        value = self.result.get(name) if self.result else _last(self.rows, name)
        return value if isinstance(value, (int, float)) else None

    def baseline(self, name: str) -> float | None:
        """Returns one of the baselines."""
        value = (self.result.get("baselines") or {}).get(name)
        return value if isinstance(value, (int, float)) else None


def name_of(run: SavedRun) -> str:
    """Returns the folder's name, with the checkpoint's where it is not the run's last."""
    return run.folder.name if run.path.name == LAST else f"{run.folder.name}/{run.path.name}"


def title(summary: RunSummary) -> str:
    """Returns, for instance, `simsiam, stop_gradient: no on digits`."""
    if summary.run.is_imported:
        return summary.run.title
    return f"{variant(summary.run.config)} on {summary.run.config.data.name}"


def facts(summary: RunSummary, width: int) -> list[Fact]:
    """Returns the figures at the top of the page; `width` is that of the embeddings."""
    linear, knn = summary.figure("linear_top1"), summary.figure("knn_top1")
    known = []
    if linear is not None:
        known.append(Fact("Linear probe, top-1", percent(linear), _baselines(summary, "linear")))
    if knn is not None:
        known.append(Fact("kNN, top-1", percent(knn), _baselines(summary, "knn")))
    if summary.run.is_imported:
        return [*known, Fact("Width", str(width), "dimensions of the backbone's features")]
    std, rank = summary.figure("output_std_ratio"), summary.figure("effective_rank")
    known += [
        Fact("Output std ratio", number(std, 2), "1 spread evenly, 0 collapsed; of augmented views"),
        Fact("Effective rank", number(rank), f"of {width} dimensions of z/|z|, of augmented views"),
    ]
    return known


def accuracies(summary: RunSummary, labelled: bool | None, reference: Reference | None = None) -> Section:
    """Compares linear probe and kNN with what the same classifiers reach without training, and with labels.

    Args:
        summary: of the run.
        labelled: whether the run's own data has labels; None where the report is about other data.
        reference: runs that were trained with labels, if there are any.
    """
    result, rows = summary.result, []
    linear, spread, knn = (summary.figure(name) for name in ("linear_top1", "linear_top1_std", "knn_top1"))
    blocks: list[Block] = []
    if linear is None and knn is None:
        return Section(
            "accuracy", "Accuracy", [Prose(f"No accuracies: {_reason_for_none(summary, labelled)}.")]
        )
    if reference is not None:
        rows.append((reference.label, reference.percent("linear_top1"), reference.percent("knn_top1")))
    rows.append(("trained encoder", percent(linear, spread), percent(knn)))
    for name, phrases in (("random_encoder", "untrained encoder"), ("pixels", "raw pixels")):
        pair = [summary.baseline(f"{name}_{kind}_top1") for kind in ("linear", "knn")]
        if any(value is not None for value in pair):
            rows.append((phrases, percent(pair[0]), percent(pair[1])))
    protocols = [
        f"{name}: {result[key]}"
        for name, key in (("Linear probe", "linear_protocol"), ("kNN", "knn_protocol"))
        if result.get(key)
    ]
    when = "after the last epoch" if result else f"the last measured in {summary.run.position.epoch} epochs"
    caption = f"Top-1 accuracy on the test images, {when}. " + ". ".join(protocols)
    if spread is not None and math.isfinite(spread):
        caption += ". ±: standard deviation over the draws"
    if reference is not None:
        caption += f". {reference.in_words}"
    blocks.append(Table(("features", "linear probe", "kNN"), rows, f"{caption.rstrip('. ')}."))
    return Section("accuracy", "Accuracy", blocks)


def diagnostics(summary: RunSummary) -> Section:
    """Tabulates how the embeddings lie on the sphere, trained and untrained."""
    start = summary.rows[0] if summary.rows and summary.rows[0].get("epoch") == 0 else {}
    rows = [
        (metric.title, number(summary.figure(name)), number(start.get(name)), metric.meaning)
        for name, metric in computed().items()
        if summary.result.get(name) is not None or name in start or not metric.needs
    ]
    before = "at the start" if summary.result.get("start_from") else "untrained"
    caption = f"Of the embeddings of augmented views, after the last epoch measured and, {before}, before the first."
    table = Table(("figure", "trained", before, "meaning"), rows, caption, wordy=True)
    return Section("collapse", "Collapse diagnostics", [table])


def provenance(summary: RunSummary, report_command: str) -> Section:
    """Lists the differences from the paper, the cost, the commands and the configuration."""
    run, result, environment = summary.run, summary.result, read_environment(summary.run.folder)
    blocks = [] if run.is_imported else _training(summary, environment)
    blocks.append(Details("This report:", report_command, True))
    used = result.get("versions") or environment.get("versions") or {}
    versions = "\n".join(f"{name} {value}" for name, value in used.items())
    commit = result.get("git_commit") or environment.get("git_commit") or "not recorded"
    known = [f"commit {commit}", f"config {run.config_hash}", f"weights {run.digest}"]
    blocks.append(Details("Commit and versions", "\n".join([*known, versions]).strip()))
    if run.is_imported:
        blocks.append(
            Prose("What config.yaml says of views, optimizer and epochs are defaults: nothing was trained.")
        )
    blocks.append(Details("config.yaml", to_yaml(run.config)))
    return Section("provenance", "Provenance", blocks)


def _training(summary: RunSummary, environment: dict[str, Any]) -> list[Block]:
    """Lists where the run differs from the paper, its cost, and the command that began it."""
    run, result = summary.run, summary.result
    blocks: list[Block] = []
    differing = result.get("differs_from_paper") or differing_axes(run.config)
    if differing:
        rows = [(axis.replace("_", " "), _yes_or_no(value)) for axis, value in differing.items()]
        caption = f"Axes on which this run stands elsewhere than {run.config.method.name} in its paper."
        blocks.append(Table(("axis", "here"), rows, caption))
    elif isinstance(run.config.method, SiameseConfig):
        blocks.append(Prose(f"On every axis this run stands where the paper has {run.config.method.name}."))
    cost = (
        ("epochs", f"{run.position.epoch} of {run.config.epochs}"),
        ("training", seconds(result.get("train_seconds"))),
        ("views per second", number(result.get("views_per_second"))),
        (
            "peak memory",
            "–" if result.get("peak_memory_mb") is None else f"{result['peak_memory_mb']:.0f} MiB",
        ),
        ("device", str(environment.get("device") or "–")),
        ("precision", str(environment.get("precision") or "–")),
    )
    blocks.append(Table(("figure", "value"), cost, "Cost of the training; measurements are not counted."))
    begun_by = typed_command(environment)
    if begun_by is not None:
        blocks.append(
            Details("The command that began the run; choose a new run_dir for another:", begun_by, True)
        )
    else:
        blocks.append(Prose("The run was begun from Python; its configuration below is complete."))
    return blocks


def badge(summary: RunSummary) -> Badge:
    """Returns the verdict as a badge."""
    return Badge(summary.verdict)


def _last(rows: list[MetricsRow], name: str) -> float | None:
    return next((row[name] for row in reversed(rows) if name in row), None)


def _reason_for_none(summary: RunSummary, labelled: bool | None) -> str:
    if summary.result.get("linear_protocol"):
        return "they were measured, and are not finite"
    if labelled is False:
        return "the data has no labels"
    if not summary.result:
        return f"none were measured in {summary.run.position.epoch} epochs"
    if labelled:
        return "there were no test images"
    return "the data that the run was trained on has no labels, or no test images"


def _baselines(summary: RunSummary, kind: str) -> str:
    parts = [
        f"{phrases} {percent(value)}"
        for name, phrases in (("random_encoder", "untrained"), ("pixels", "pixels"))
        if (value := summary.baseline(f"{name}_{kind}_top1")) is not None
    ]
    return ", ".join(parts)


def _yes_or_no(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
