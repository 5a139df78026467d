"""A trial: one row and seed of a suite, the files in which it is kept, and what they record."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_zoo.config.mapping import config_hash
from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.files.json_files import write_json
from ssl_zoo.metrics import RESULT, SUITE, declared
from ssl_zoo.run_dir.run_files import read_evaluations, read_record
from ssl_zoo.suites.record import RunRecord

__all__ = [
    "COST",
    "PATIENCE",
    "Trial",
    "evaluation_of",
    "is_done",
    "protocol_of",
    "run_record",
    "slug",
    "write_trial",
]

COST = "cost.json"
PATIENCE = 120  # seconds that a stopped run has to save itself


@dataclass(frozen=True)
class Trial:
    """A run: what is trained, and what is then evaluated."""

    row: str
    overrides: tuple[str, ...]  # of `ssl-zoo train`; complete but for `start_from`
    config: RunConfig
    evaluations: tuple[tuple[str, ...], ...] = ()  # overrides of `ssl-zoo eval`, one tuple for each protocol
    weights: str = "trained"
    start: Trial | None = None  # with whose weights it begins
    start_hash: str | None = None  # of a run that the user names as `start_from`
    folder: str = ""  # name of the run directory where it isn't made of the hash, as in a sweep

    @cached_property
    def hash(self) -> str:
        """Hash of the configuration and of the trial before; two trials that share it train the same thing."""
        return config_hash(self.config, self.start_hash if self.start is None else self.start.hash)

    @cached_property
    def name(self) -> str:
        """Name of the run directory."""
        config = self.config
        return (
            self.folder or f"{slug(config.data.name)}-{slug(config.method.name)}-s{config.seed}-{self.hash}"
        )

    def overrides_in(self, rows: Path) -> list[str]:
        """Returns the overrides of `ssl-zoo train`, given the folder of the run directories."""
        start = [] if self.start is None else [write_override("start_from", str(rows / self.start.name))]
        return [*self.overrides, *start]


def slug(name: str) -> str:
    """Returns a name as a part of a file's name."""
    return re.sub(r"[^\w.+-]", "-", name)


def write_trial(trial: Trial, rows: Path) -> Path:
    """Writes what a worker needs to know of a trial: one file for a run, and for what is evaluated of it."""
    evaluations = [list(overrides) for overrides in trial.evaluations]
    contents = {
        "folder": str(rows / trial.name),
        "overrides": trial.overrides_in(rows),
        "evaluations": evaluations,
    }
    mark = f"-{hashlib.sha256(json.dumps(evaluations).encode()).hexdigest()[:6]}" if evaluations else ""
    file = rows / f"{trial.name}{mark}.trial"
    rows.mkdir(parents=True, exist_ok=True)
    write_json(file, contents)
    return file


def is_done(trial: Trial, folder: Path) -> bool:
    """Whether the run has a result, its cost, and a record of each evaluation, all of which can be read."""
    result = read_record(folder / "result.json")
    return (
        result is not None
        and {"verdict", "steps", "baselines"} <= set(result)
        and read_record(folder / COST) is not None
        and all(evaluation_of(folder, overrides) is not None for overrides in trial.evaluations)
    )


def evaluation_of(folder: Path, overrides: Sequence[str]) -> dict[str, Any] | None:
    """Returns the record of the evaluation that these overrides asked for."""
    wanted = _compared(overrides)
    return next((record for record in read_evaluations(folder) if _recorded(record) == wanted), None)


def run_record(trial: Trial, rows: Path, folder: Path, error: str | None = None) -> RunRecord:
    """Reads the run directory of a trial.

    Args:
        trial: the trial.
        rows: the folder of the run directories.
        folder: the suite's, to which paths are relative.
        error: the message of a run that failed.
    """
    directory = rows / trial.name
    result = read_record(directory / "result.json")
    base: dict[str, Any] = {
        "seed": trial.config.seed,
        "folder": os.path.relpath(directory, folder),
        "config_hash": trial.hash,
        "command": shlex.join(["ssl-zoo", "train", *trial.overrides_in(rows)]),
    }
    overrides_of = {protocol_of(overrides): overrides for overrides in trial.evaluations}
    evaluated = {name: evaluation_of(directory, overrides) for name, overrides in overrides_of.items()}
    if result is None or None in evaluated.values():
        return RunRecord(**base, error=error)
    values = {key: result.get(key) for key in declared(RESULT) if key in declared(SUITE)}
    values["test_images"] = result.get("test_images")
    values["random_encoder_linear_top1"] = result["baselines"].get("random_encoder_linear_top1")
    values |= _cost(trial, result, read_record(directory / COST) or {}, evaluated.values())
    verdict = str(result["verdict"])
    for name, record in evaluated.items():
        assert record is not None
        values[name] = record["top1"]
        if trial.weights == "random":
            train = shlex.join(
                ["ssl-zoo", "train", *trial.overrides_in(rows), write_override("run_dir", str(directory))]
            )
            evaluate = shlex.join(
                ["ssl-zoo", "eval", write_override("run", str(directory)), *overrides_of[name]]
            )
            base["command"] = f"{train} && {evaluate}"
    values["top1"] = values[next(iter(evaluated))] if evaluated else values["linear_top1"]
    if evaluated:
        del values["random_encoder_linear_top1"]
    if trial.weights == "random":
        values = {name: values[name] for name in ("top1", *evaluated)}
        verdict = "untrained"
    known = {name: float(value) for name, value in values.items() if value is not None}
    return RunRecord(**base, values=known, verdict=verdict, commit=result.get("git_commit"))


def protocol_of(overrides: Sequence[str]) -> str:
    """Returns the protocol that overrides of `ssl-zoo eval` name."""
    return next(
        override.removeprefix("protocol=") for override in overrides if override.startswith("protocol=")
    )


def _cost(
    trial: Trial,
    result: Mapping[str, Any],
    cost: Mapping[str, Any],
    evaluated: Iterable[Mapping[str, Any] | None],
) -> dict[str, Any]:
    images = result["steps"] * trial.config.batch_size * trial.config.trainer.accumulate
    passes = cost.get("passes_per_image")
    return {
        "images_seen": images,
        "forward_passes": None if passes is None else images * passes,
        "seconds": cost.get("seconds", 0.0)
        + sum(record["seconds"] for record in evaluated if record is not None),
    }


def _recorded(record: dict[str, Any]) -> list[str]:
    overrides = record.get("overrides")
    return _compared(map(str, overrides)) if isinstance(overrides, list) else []


def _compared(overrides: Iterable[str]) -> list[str]:
    """Returns the overrides that bear on what is measured, sorted: not those of a run, progress or threads."""
    return sorted(
        override
        for override in overrides
        if "=" in override and not override.startswith(("run=", "progress=", "threads="))
    )
