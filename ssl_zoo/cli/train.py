"""`ssl-zoo train`: one run, here or in a job of SLURM, or with `-m` several."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ssl_zoo.cli.output import nothing_on_stdout, print_json, take_json
from ssl_zoo.errors import Unfinished, UserError

if TYPE_CHECKING:
    from ssl_zoo.cluster.options import LaunchConfig
    from ssl_zoo.suites.record import SuiteRecord

__all__ = ["run_rows", "train"]

MULTIRUN = {"-m", "--multirun"}


def train(overrides: Sequence[str]) -> None:
    """Trains one run, or submits it; with `-m` several runs.

    Raises:
        UserError: the overrides, or what they name, are wrong; nothing has been created.
    """
    from ssl_zoo.cluster.options import read_launch
    from ssl_zoo.cluster.requeue import requeueing
    from ssl_zoo.run_dir.continuation import compose_run

    as_json, overrides = take_json(overrides)
    if MULTIRUN & {*overrides}:
        _sweep([override for override in overrides if override not in MULTIRUN], as_json)
        return
    launch, overrides = read_launch(overrides)
    if launch.launcher == "slurm":
        if as_json:
            raise UserError(
                "--json prints the result of a run that trains here; received launcher=slurm; leave it out"
            )
        _submit(launch, overrides)
        return
    config = compose_run(overrides)
    trainer, resumes = config.trainer, config.resume == "auto"
    with requeueing(config.run_dir, trainer.requeue, resumes=resumes, processes=trainer.processes):
        from ssl_zoo.hardware.heap import keep_freed_memory
        from ssl_zoo.training.process import this_process
        from ssl_zoo.training.run import run

        keep_freed_memory()
        with nothing_on_stdout(as_json):
            result = run(config)
        rank_zero = this_process(config).rank_zero
    if as_json and rank_zero:
        print_json(result.as_dict())


def _sweep(overrides: Sequence[str], as_json: bool) -> None:
    from ssl_zoo.cluster.requeue import requeueing
    from ssl_zoo.suites.options import read_sweep
    from ssl_zoo.suites.sweep_plan import SweepPlan

    _, folder, training = read_sweep(overrides)
    folder = folder or str(SweepPlan(training).default_folder)
    with requeueing(folder, "auto", resumes=True):
        from ssl_zoo.reports.sweep import run_sweep

        run_rows(run_sweep, overrides, as_json)


def run_rows(
    run: Callable[[Sequence[str]], tuple[SuiteRecord, Unfinished | None]],
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """Runs a suite or a sweep, and prints its record as JSON where that is asked for.

    Raises:
        Unfinished: some of its runs failed.
    """
    with nothing_on_stdout(as_json):
        record, failure = run(overrides)
    if as_json:
        print_json(dataclasses.asdict(record))
    if failure is not None:
        raise failure


def _submit(launch: LaunchConfig, overrides: Sequence[str]) -> None:
    from ssl_zoo.cluster.run_job import compose_job

    job = compose_job(launch, overrides)
    from ssl_zoo.training.submit import submit_run

    submit_run(job)
