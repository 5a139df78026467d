"""A worker: the process of one trial, or of one after another. It trains, evaluates, and notes what that cost.

    python -m ssl_zoo.suites.worker FILE.trial
    python -m ssl_zoo.suites.worker --serve

Whatever is done already is not done again, so that a worker may be killed at any moment and started anew. With
`--serve` it reads requests from stdin and answers each on stdout when it is done, so that a suite imports torch once
for each worker; it ends with the first trial that fails, and stops, saved, when the process that started it is gone.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from ssl_zoo.build import build
from ssl_zoo.cluster.requeue import requeueing
from ssl_zoo.config.mapping import from_yaml
from ssl_zoo.config.options import commands_allowed
from ssl_zoo.config.overrides import read_override, write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import Unfinished
from ssl_zoo.evaluation.run import evaluate
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.locks import hold
from ssl_zoo.hardware.heap import keep_freed_memory, return_freed_memory
from ssl_zoo.hardware.peak_memory import reset_peak_memory
from ssl_zoo.method import Encoder
from ssl_zoo.run_dir.paths import LAST
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.suites.trial import COST, PATIENCE, evaluation_of
from ssl_zoo.terminal.signals import signals_interrupt, stop_this_process
from ssl_zoo.terminal.streams import exit_status
from ssl_zoo.training.run import train
from ssl_zoo.training.shared import Shared

__all__ = ["passes_per_image", "run_trial"]

IMAGES = 4  # of the step whose forward passes are counted


def run_trial(trial: dict[str, Any], shared: Shared | None = None) -> None:
    """Trains and evaluates what is not there yet. Another process at the same run is waited for.

    Args:
        trial: as `write_trial` writes it.
        shared: what earlier trials of this process have loaded and measured.
    """
    folder = Path(trial["folder"])
    with hold(folder, wait=True):
        cost = {"seconds": 0.0, **(read_record(folder / COST) or {})}
        incomplete = None
        if read_record(folder / "result.json") is None:
            try:
                _train(folder, trial["overrides"], cost, shared)
            except Unfinished as error:  # the run is done, and a record elsewhere is not complete
                incomplete = error
        if cost.get("passes_per_image") is None:
            write_json(folder / COST, {**cost, "passes_per_image": passes_per_image(folder)})
        _evaluate(folder, trial["evaluations"])
        if incomplete is not None:
            raise incomplete


def _train(folder: Path, overrides: Sequence[str], cost: dict[str, Any], shared: Shared | None) -> None:
    """Trains, or goes on training; the seconds of what was stopped count as well, but for a kill's."""
    started = time.perf_counter()
    try:
        here = [write_override("run_dir", str(folder)), "resume=auto", "trainer.progress=false"]
        if (folder / "checkpoints" / LAST).is_file():  # the run continues without the one that it began with
            overrides = [override for override in overrides if read_override(override)[0] != "start_from"]
        train([*overrides, *here], shared=shared)
    finally:
        cost["seconds"] += time.perf_counter() - started
        if (folder / "config.yaml").is_file():
            write_json(folder / COST, cost)


def _evaluate(folder: Path, evaluations: Sequence[Sequence[str]]) -> None:
    for overrides in evaluations:
        if evaluation_of(folder, overrides) is None:
            with commands_allowed():  # the suite has named the data, or its YAML
                evaluate([write_override("run", str(folder)), "progress=false", *overrides])


def passes_per_image(config: RunConfig | Path) -> float:
    """Counts the forward passes of a training step per image: 4 for BYOL, whose two views pass both of its encoders.

    They are counted on the method itself, so that the number is right for any method.

    Args:
        config: of a run, or the run directory.
    """
    if isinstance(config, Path):
        config = from_yaml((config / "config.yaml").read_text(encoding="utf-8"))
    method, _ = build(config, config.data.channels)
    method.allocate(IMAGES)
    if method.needs_labels:
        method.take_labels(torch.arange(IMAGES), IMAGES)
    passes = 0

    def count(module: Any, inputs: tuple[Any, ...]) -> None:
        nonlocal passes
        passes += inputs[0].shape[0]

    for module in method.modules():
        if isinstance(module, Encoder):
            module.backbone.register_forward_pre_hook(count)
    views = [torch.rand(IMAGES, config.data.channels, view.size, view.size) for view in config.views]
    with torch.random.fork_rng():
        method.loss(views, torch.arange(IMAGES))
    return passes / IMAGES


def _read_requests(requests: SimpleQueue[bytes | None], busy: threading.Event) -> None:
    """Passes on the lines of stdin. When it closes, the parent is done or gone: a run under way saves itself."""
    rest = b""
    while part := os.read(sys.stdin.fileno(), 2**16):  # a buffer's lock would be held when Python ends
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            requests.put(line)
    requests.put(None)
    busy.wait()  # where nothing runs, the process ends meanwhile
    stop_this_process()
    time.sleep(PATIENCE)
    os._exit(1)


def _serve() -> int:
    """Runs the trials that are asked for, each with a log of its own; returns the status of the first that fails."""
    answers = os.dup(sys.stdout.fileno())
    requests, busy, shared = SimpleQueue[bytes | None](), threading.Event(), Shared()
    threading.Thread(target=_read_requests, args=(requests, busy), daemon=True).start()
    try:
        while (request := requests.get()) is not None:
            file, log = json.loads(request)
            sys.argv[1:] = [file]  # which the run's environment.json records
            _log_to(log)
            busy.set()
            if status := _run(Path(file), shared):
                return status
            busy.clear()
            gc.collect()  # what Lightning's trainer holds in circles
            return_freed_memory()
            reset_peak_memory()
            os.write(answers, b"done\n")
    except KeyboardInterrupt:  # while it waits
        pass
    return 0


def _log_to(file: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)


def _run(file: Path, shared: Shared | None = None, *, alone: bool = False) -> int:
    """Runs a trial; exit status 0 done, 2 the overrides are wrong, 75 saved and requeued, 1 anything else.

    Args:
        file: as `write_trial` writes it.
        shared: what earlier trials of this process have loaded and measured.
        alone: whether it is the one trial of its SLURM job, which it may requeue; of several none may end the others.
    """
    try:
        trial = json.loads(file.read_text(encoding="utf-8"))
        wanted = (
            dict(map(read_override, trial["overrides"])).get("trainer.requeue", "auto") if alone else False
        )
        with requeueing(trial["folder"], wanted, resumes=True):
            run_trial(trial, shared)
    except BaseException as error:
        return exit_status(error, "bench")
    return 0


def main() -> None:
    """Runs one trial, or those that are asked for."""
    keep_freed_memory()
    with signals_interrupt():
        status = _serve() if sys.argv[1:] == ["--serve"] else _run(Path(sys.argv[1]), alone=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
