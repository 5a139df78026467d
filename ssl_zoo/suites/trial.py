"""One row and seed, in a process of its own: train, evaluate, and note what it cost.

    python -m ssl_zoo.suites.trial JOB.json [--with-parent]

Whatever is done already is not done again, so that a job may be killed at any moment and started anew. With
`--with-parent` it stops, saved, when the process that started it is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import written
from ssl_zoo.files.locks import hold
from ssl_zoo.files.writing import write_json
from ssl_zoo.runs.run_files import evaluations, read_record
from ssl_zoo.suites.plan import Job
from ssl_zoo.terminal.streams import exit_status

__all__ = ["COST", "evaluation_of", "is_done", "work", "write_task"]

COST = "cost.json"
PATIENCE = 120  # seconds for a run to save itself when its parent is gone


def write_task(job: Job, rows: Path) -> Path:
    """Writes what `work` needs to know of a job: one file for a run, and for what is evaluated of it."""
    evaluations = [list(overrides) for overrides in job.evaluations]
    task = {"folder": str(rows / job.name), "overrides": list(job.overrides), "evaluations": evaluations}
    mark = f"-{hashlib.sha256(json.dumps(evaluations).encode()).hexdigest()[:6]}" if evaluations else ""
    file = rows / f"{job.name}{mark}.job"
    rows.mkdir(parents=True, exist_ok=True)
    write_json(file, task)
    return file


def is_done(job: Job, folder: Path) -> bool:
    """Whether the run has a result, its cost, and a record of each evaluation, all of which can be read."""
    result = read_record(folder / "result.json")
    return (
        result is not None
        and {"verdict", "steps", "baselines"} <= set(result)
        and read_record(folder / COST) is not None
        and all(evaluation_of(folder, overrides) is not None for overrides in job.evaluations)
    )


def evaluation_of(folder: Path, overrides: Sequence[str]) -> dict[str, Any] | None:
    """The record of the evaluation that these overrides asked for."""
    asked = sorted(override for override in overrides if not _is_place(override))
    return next((one for one in evaluations(folder) if _asked(one) == asked), None)


def _asked(record: dict[str, Any]) -> list[str]:
    overrides = record.get("overrides")
    return (
        sorted(str(override) for override in overrides if not _is_place(str(override)))
        if isinstance(overrides, list)
        else []
    )


def _is_place(override: str) -> bool:
    """Whether it says where and how fast, and nothing of what is measured."""
    return "=" not in override or override.startswith(("run=", "progress=", "threads="))


def work(task: dict[str, Any]) -> None:
    """Trains and evaluates what is not there yet. Another process at the same run is waited for."""
    folder = Path(task["folder"])
    with hold(folder, wait=True):
        cost = {"seconds": 0.0, **(read_record(folder / COST) or {})}
        if read_record(folder / "result.json") is None:
            _train(folder, task["overrides"], cost)
        if cost.get("passes_per_image") is None:
            from ssl_zoo.suites.backbone_passes import passes_per_image

            write_json(folder / COST, {**cost, "passes_per_image": passes_per_image(folder)})
        _evaluate(folder, task["evaluations"])


def _train(folder: Path, overrides: Sequence[str], cost: dict[str, Any]) -> None:
    """Trains, or goes on training; the seconds of what was stopped count as well, but for a kill's."""
    from ssl_zoo.training.run import train

    started = time.perf_counter()
    try:
        train([*overrides, written("run_dir", str(folder)), "resume=auto", "trainer.progress=false"])
    finally:
        cost["seconds"] += time.perf_counter() - started
        if (folder / "config.yaml").is_file():
            write_json(folder / COST, cost)


def _evaluate(folder: Path, evaluations: Sequence[Sequence[str]]) -> None:
    for overrides in evaluations:
        if evaluation_of(folder, overrides) is None:
            from ssl_zoo.evaluation.run import evaluate

            evaluate([written("run", str(folder)), "progress=false", *overrides])


def _stop_with_parent() -> None:
    """Ends this process, a run saved first, when its standard input closes, which the parent holds open."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock would be held when Python ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Reads the job and does it; exit status 0 done, 2 the overrides are wrong, 1 anything else."""
    if "--with-parent" in sys.argv[2:]:
        _stop_with_parent()
    task = json.loads(Path(sys.argv[1]).read_text())
    sys.exit(exit_status(lambda: work(task), "bench"))


if __name__ == "__main__":
    main()
