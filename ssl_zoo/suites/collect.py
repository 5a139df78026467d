"""Reads the run directories of a suite into its record."""

from __future__ import annotations

import dataclasses
import datetime
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.config.overrides import read_override
from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.run_dir.environment import versions
from ssl_zoo.run_dir.run_files import read_environment, read_record
from ssl_zoo.suites.judge import judge_claim
from ssl_zoo.suites.plan import Planner, Row
from ssl_zoo.suites.read import Suite, pair_of
from ssl_zoo.suites.record import RowRecord, RunRecord, SuiteRecord, run_dir
from ssl_zoo.suites.results import Results
from ssl_zoo.suites.sweep_plan import SweepPlan
from ssl_zoo.suites.trial import Trial, evaluation_of, protocol_of

__all__ = ["collect", "data_in_words", "row_records"]


def collect(
    suite: Suite,
    planner: Planner | SweepPlan,
    rows: Sequence[Row],
    trials: Mapping[str, Sequence[Trial]],
    results: Results,
    *,
    command: Sequence[str],
    tuned: Mapping[str, float] | None = None,
    remarks: Sequence[str] = (),
    waiting: bool = False,
) -> SuiteRecord:
    """Reads all runs and judges the claims.

    Args:
        suite: the suite.
        planner: composed its rows; or a sweep, which did.
        rows: composed.
        trials: of each row, by its name.
        results: reads their run directories.
        command: as typed.
        tuned: the value that was chosen for each row.
        remarks: besides the suite's own.
        waiting: whether rows wait until they are tuned.
    """
    other_method = any(
        read_override(override)[0].partition(".")[0] == "method" for override in planner.overrides
    )
    if other_method:
        remarks = (*remarks, "The method was changed by hand, so the paper's figures are left out.")
    records = row_records(rows, trials, results.unread if waiting else results.record, tuned or {})
    if other_method:
        records = {name: dataclasses.replace(row, paper=None) for name, row in records.items()}
    config, result = suite.config, _first_result(records, results.folder)
    top1, protocols, pixels = _accuracies(trials, results.runs, result)
    trial = next(iter(trials.values()))[0]
    claims = suite.claims_on(trial.config, evaluated=bool(trial.evaluations))
    return SuiteRecord(
        name=suite.name,
        title=config.title,
        paper=config.paper,
        source=config.source,
        section=config.section,
        question=config.question,
        paper_setting=config.paper_setting,
        data=planner.data,
        data_in_words=data_in_words(rows[0]),
        budget=planner.budget,
        seeds=tuple(sorted({trial.config.seed for group in trials.values() for trial in group})),
        overrides=tuple(planner.overrides),
        base=tuple(planner.base),
        columns=_columns(config.columns, trial),
        top1=top1,
        protocols=protocols,
        rows=tuple(records.values()),
        claims=tuple(judge_claim(claim, records) for claim in claims),
        curves=config.curves,
        figures=tuple(dataclasses.asdict(figure) for figure in config.figures),
        switches=_switches(suite, rows),
        pixels=pixels,
        remarks=(*config.remarks, *remarks),
        command=shlex.join(command),
        versions=versions(),
        machine=_machine(records, results.folder),
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
    )


def row_records(
    rows: Sequence[Row],
    trials: Mapping[str, Sequence[Trial]],
    record_of: Callable[[Trial], RunRecord],
    tuned: Mapping[str, float],
) -> dict[str, RowRecord]:
    """Returns the record of each row, from those of its trials."""
    records: dict[str, RowRecord] = {}
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        measured = [record_of(trial) for trial in trials[row.name]]
        if row.name in tuned:
            measured = [
                dataclasses.replace(run, values={**run.values, "tuned": tuned[row.name]})
                if run.finished
                else run
                for run in measured
            ]
        same = first.setdefault((trials[row.name][0].hash, row.source.weights), row.name)
        records[row.name] = RowRecord(
            name=row.name,
            overrides=row.row_overrides,
            runs=tuple(measured),
            paper=row.source.paper,
            note=row.source.note,
            same_as=None if same == row.name else same,
            start_from=row.source.start_from,
        )
    return records


def _columns(listed: Sequence[str], trial: Trial) -> tuple[str, ...]:
    """Returns the suite's columns, where other protocols were asked for with theirs in place of its own."""
    evaluated = [protocol_of(overrides) for overrides in trial.evaluations]
    kept = [name for name in listed if name in declared(SUITE) or name == "verdict" or name in evaluated]
    return (*(name for name in evaluated if name not in kept), *kept)


def _first_result(rows: Mapping[str, RowRecord], folder: Path) -> dict[str, Any]:
    for row in rows.values():
        for run in row.runs:
            if run.finished:
                return read_record(run_dir(run, folder) / "result.json") or {}
    return {}


def _accuracies(
    trials: Mapping[str, Sequence[Trial]], runs: Path, result: Mapping[str, Any]
) -> tuple[str, dict[str, str], dict[str, float]]:
    """Returns what top1 is, how each accuracy was measured, and what raw pixels reach."""
    protocols = {
        f"{name}_top1": str(result[f"{name}_protocol"])
        for name in ("linear", "knn")
        if result.get(f"{name}_protocol")
    }
    base = result.get("baselines") or {}
    pixels = {"top1": base.get("pixels_linear_top1"), "knn_top1": base.get("pixels_knn_top1")}
    first = next(iter(trials.values()))[0]
    if first.evaluations:
        pixels["top1"] = None
        for overrides in first.evaluations:
            records = (
                evaluation_of(runs / trial.name, overrides) for group in trials.values() for trial in group
            )
            record = next((record for record in records if record is not None), None)
            if record is not None:
                protocols[protocol_of(overrides)] = str(record["in_words"])
        top1 = protocols.get(protocol_of(first.evaluations[0]), protocol_of(first.evaluations[0]))
    else:
        top1 = protocols.get("linear_top1", "the linear probe")
    return top1, protocols, {name: value for name, value in pixels.items() if value is not None}


def data_in_words(row: Row) -> str:
    """Describes the images of a row, and the backbone that is trained on them."""
    config = row.config
    parts = [
        config.data.name,
        f"{config.augment.size} pixels",
        f"{config.backbone.name}, {config.backbone.stem} stem",
    ]
    if config.data.limit is not None:
        parts.insert(1, f"{config.data.limit} training images")
    if config.data.holdout:
        parts.insert(1, f"tested on {config.data.holdout:.0%} of the training images")
    return ", ".join(parts)


def _switches(suite: Suite, rows: Sequence[Row]) -> tuple[str, ...]:
    if not suite.config.pairs:
        return ()
    on = {name for row in rows for name in pair_of(row.name)}
    return tuple(name for name in suite.config.pairs if name in on)


def _machine(rows: Mapping[str, RowRecord], folder: Path) -> str:
    """Describes the machines that the runs ran on."""
    environments = [
        read_environment(run_dir(run, folder)) for row in rows.values() for run in row.runs if run.finished
    ]
    machines = [
        f"{env.get('processor')}, {env.get('cpu_cores')} cores, {env.get('cpu_threads')} thread(s) a run"
        + ("" if env.get("device") == "cpu" else f", {env.get('device')}")
        + f", {env.get('precision')}"
        for env in environments
    ]
    return "; ".join(dict.fromkeys(machines))
