"""From the folders of runs to the record of a suite."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import read_override, written
from ssl_zoo.runs.environment import versions
from ssl_zoo.runs.run_files import environment, read_record
from ssl_zoo.suites.judge import judge
from ssl_zoo.suites.plan import Job, Planner, Row
from ssl_zoo.suites.read import Suite, pair_of
from ssl_zoo.suites.record import METRICS, RowRecord, RunRecord, SuiteRecord, place_of
from ssl_zoo.suites.trial import COST, evaluation_of

__all__ = ["collect", "run_record"]

# Names of a suite's metrics, and of result.json's keys.
KEYS = {
    "linear": "linear_top1",
    "knn": "knn_top1",
    "std_ratio": "output_std_ratio",
    "center_ratio": "center_ratio",
    "residual_ratio": "residual_ratio",
    "effective_rank": "effective_rank",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "loss": "loss",
    "train_seconds": "train_seconds",
    "views_per_second": "views_per_second",
    "memory": "peak_memory_mb",
}


def run_record(job: Job, rows: Path, folder: Path, error: str | None = None) -> RunRecord:
    """What a job's folder holds.

    Args:
        job: the job.
        rows: where the runs are.
        folder: the suite's, to which paths are relative.
        error: the message of a run that failed.
    """
    place = rows / job.name
    result = read_record(place / "result.json")
    base: dict[str, Any] = {
        "seed": job.config.seed,
        "folder": os.path.relpath(place, folder),
        "config_hash": job.hash,
        "command": job.command,
    }
    words_of = {_protocol(overrides): overrides for overrides in job.evaluations}
    evaluated = {name: evaluation_of(place, overrides) for name, overrides in words_of.items()}
    if result is None or None in evaluated.values():
        return RunRecord(**base, error=error)
    values = {name: result.get(key) for name, key in KEYS.items()}
    values["untrained_top1"] = result["baselines"].get("random_encoder_linear_top1")
    values |= _cost(job, result, read_record(place / COST) or {}, evaluated.values())
    verdict = str(result["verdict"])
    for name, record in evaluated.items():
        assert record is not None
        values[name] = record["top1"]
        if job.weights == "random":
            train = shlex.join(["ssl-zoo", "train", *job.overrides, written("run_dir", str(place))])
            evaluate = shlex.join(["ssl-zoo", "eval", written("run", str(place)), *words_of[name]])
            base["command"] = f"{train} && {evaluate}"
    values["top1"] = values[next(iter(evaluated))] if evaluated else values["linear"]
    if evaluated:
        del values["untrained_top1"]
    if job.weights == "random":
        values = {name: values[name] for name in ("top1", *evaluated)}
        verdict = "untrained"
    known = {name: float(value) for name, value in values.items() if value is not None}
    return RunRecord(**base, values=known, verdict=verdict, commit=result.get("git_commit"))


def _protocol(overrides: Sequence[str]) -> str:
    return next(
        override.removeprefix("protocol=") for override in overrides if override.startswith("protocol=")
    )


def _cost(
    job: Job,
    result: Mapping[str, Any],
    cost: Mapping[str, Any],
    evaluated: Iterable[Mapping[str, Any] | None],
) -> dict[str, Any]:
    images = result["steps"] * job.config.batch_size * job.config.trainer.accumulate
    passes = cost.get("passes_per_image")
    return {
        "images_seen": images,
        "forward_passes": None if passes is None else images * passes,
        "seconds": cost.get("seconds", 0.0)
        + sum(record["seconds"] for record in evaluated if record is not None),
    }


def collect(
    suite: Suite,
    planner: Planner,
    rows: Sequence[Row],
    jobs: Mapping[str, Sequence[Job]],
    runs: Path,
    folder: Path,
    errors: Mapping[str, str],
    *,
    command: Sequence[str],
    tuned: Mapping[str, float] | None = None,
    remarks: Sequence[str] = (),
) -> SuiteRecord:
    """Reads all runs and judges the claims.

    Args:
        suite: the suite.
        planner: that composed it.
        rows: composed.
        jobs: of each row, by its name.
        runs: where the runs are.
        folder: of the suite's report.
        errors: messages of failed runs, by the jobs' names.
        command: as typed.
        tuned: the value that was chosen for each row.
        remarks: besides the suite's own.
    """
    other_method = any(
        read_override(override)[0].partition(".")[0] == "method" for override in planner.overrides
    )
    if other_method:
        remarks = (*remarks, "The method was changed by hand, so the paper's figures are left out.")
    found: dict[str, RowRecord] = {}
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        records = [run_record(job, runs, folder, errors.get(job.name)) for job in jobs[row.name]]
        if tuned is not None and row.name in tuned:
            records = [
                dataclasses.replace(one, values={**one.values, "tuned": tuned[row.name]})
                if one.finished
                else one
                for one in records
            ]
        key = (jobs[row.name][0].hash, row.source.weights)
        same = first.setdefault(key, row.name)
        found[row.name] = RowRecord(
            name=row.name,
            overrides=row.own,
            runs=tuple(records),
            paper=None if other_method else row.source.paper,
            note=row.source.note,
            same_as=None if same == row.name else same,
        )
    config, some = suite.config, _first_result(found, folder)
    top1, protocols, pixels = _accuracies(jobs, runs, some)
    return SuiteRecord(
        name=suite.name,
        title=config.title,
        paper=config.paper,
        source=config.source,
        section=config.section,
        question=config.question,
        paper_setting=config.paper_setting,
        data=planner.data,
        data_in_words=_data_in_words(rows[0]),
        budget=planner.budget,
        seeds=tuple(job.config.seed for job in jobs[rows[0].name]),
        overrides=tuple(planner.overrides),
        base=tuple(planner.base),
        columns=_columns(config.columns, next(iter(jobs.values()))[0]),
        top1=top1,
        protocols=protocols,
        rows=tuple(found.values()),
        claims=tuple(judge(claim, found) for claim in suite.claims_on(planner.data)),
        figures=tuple(dataclasses.asdict(figure) for figure in config.figures),
        switches=_switches(suite, rows),
        pixels=pixels,
        remarks=(*config.remarks, *remarks),
        command=shlex.join(["ssl-zoo", "bench", *command]),
        versions=versions(),
        machine=_machine(found, folder),
        made=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
    )


def _columns(listed: Sequence[str], job: Job) -> tuple[str, ...]:
    """The suite's columns, where other protocols were asked for with theirs in place of its own."""
    evaluated = [_protocol(overrides) for overrides in job.evaluations]
    kept = [name for name in listed if name in METRICS or name == "verdict" or name in evaluated]
    return (*(name for name in evaluated if name not in kept), *kept)


def _first_result(rows: Mapping[str, RowRecord], folder: Path) -> dict[str, Any]:
    for row in rows.values():
        for run in row.runs:
            if run.finished:
                return read_record(place_of(run, folder) / "result.json") or {}
    return {}


def _accuracies(
    jobs: Mapping[str, Sequence[Job]], runs: Path, result: Mapping[str, Any]
) -> tuple[str, dict[str, str], dict[str, float]]:
    """What top1 is, how each accuracy was measured, and what raw pixels reach."""
    protocols = {
        name: str(result[key])
        for name, key in (("linear", "linear_protocol"), ("knn", "knn_protocol"))
        if result.get(key)
    }
    base = result.get("baselines") or {}
    pixels = {name: base.get(f"pixels_{key}_top1") for name, key in (("top1", "linear"), ("knn", "knn"))}
    first = next(iter(jobs.values()))[0]
    if first.evaluations:
        pixels["top1"] = None
        for overrides in first.evaluations:
            records = (evaluation_of(runs / job.name, overrides) for group in jobs.values() for job in group)
            record = next((one for one in records if one is not None), None)
            if record is not None:
                protocols[_protocol(overrides)] = str(record["in_words"])
        top1 = protocols.get(_protocol(first.evaluations[0]), _protocol(first.evaluations[0]))
    else:
        top1 = protocols.get("linear", "the linear probe")
    return top1, protocols, {name: value for name, value in pixels.items() if value is not None}


def _data_in_words(row: Row) -> str:
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
    """The machines that the runs were made on, in words."""
    found = [environment(place_of(run, folder)) for row in rows.values() for run in row.runs if run.finished]
    told = [
        f"{one.get('processor')}, {one.get('cpu_cores')} cores, {one.get('cpu_threads')} thread(s) a run"
        + ("" if one.get("device") == "cpu" else f", {one.get('device')}")
        + f", {one.get('precision')}"
        for one in found
    ]
    return "; ".join(dict.fromkeys(told))
