"""A worker: the process of one trial. It trains, evaluates, and notes what that cost.

    python -m ssl_zoo.suites.worker FILE.trial [--with-parent]

Whatever is done already is not done again, so that a worker may be killed at any moment and started anew. With
`--with-parent` it stops, saved, when the process that started it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.build import build
from ssl_zoo.config.mapping import from_yaml
from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.evaluation.run import evaluate
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.locks import hold
from ssl_zoo.method import Encoder
from ssl_zoo.runs.run_files import read_record
from ssl_zoo.suites.trial import COST, PATIENCE, evaluation_of
from ssl_zoo.terminal.signals import sigterm_interrupts
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
        if read_record(folder / "result.json") is None:
            _train(folder, trial["overrides"], cost, shared)
        if cost.get("passes_per_image") is None:
            write_json(folder / COST, {**cost, "passes_per_image": passes_per_image(folder)})
        _evaluate(folder, trial["evaluations"])


def _train(folder: Path, overrides: Sequence[str], cost: dict[str, Any], shared: Shared | None) -> None:
    """Trains, or goes on training; the seconds of what was stopped count as well, but for a kill's."""
    started = time.perf_counter()
    try:
        here = [write_override("run_dir", str(folder)), "resume=auto", "trainer.progress=false"]
        train([*overrides, *here], shared=shared)
    finally:
        cost["seconds"] += time.perf_counter() - started
        if (folder / "config.yaml").is_file():
            write_json(folder / COST, cost)


def _evaluate(folder: Path, evaluations: Sequence[Sequence[str]]) -> None:
    for overrides in evaluations:
        if evaluation_of(folder, overrides) is None:
            evaluate([write_override("run", str(folder)), "progress=false", *overrides])


def passes_per_image(config: RunConfig | Path) -> float:
    """Counts the forward passes of a training step per image: 4 for BYOL, whose two views pass both of its encoders.

    They are counted on the method itself, so that the number is right for any method.

    Args:
        config: of a run, or the run directory.
    """
    if isinstance(config, Path):
        config = from_yaml((config / "config.yaml").read_text())
    method, _ = build(config, config.data.channels)
    method.allocate(IMAGES)
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
    """Reads the trial and runs it; exit status 0 done, 2 the overrides are wrong, 1 anything else."""
    if "--with-parent" in sys.argv[2:]:
        _stop_with_parent()
    trial = json.loads(Path(sys.argv[1]).read_text())
    try:
        with sigterm_interrupts():
            run_trial(trial)
    except BaseException as error:
        sys.exit(exit_status(error, "bench"))


if __name__ == "__main__":
    main()
