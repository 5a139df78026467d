"""Refuses what would keep a suite's runs from their results, before anything is created."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ssl_zoo.cluster.checks import check_folders
from ssl_zoo.cluster.submit import check_submitit
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.errors import UserError
from ssl_zoo.suites.claims import is_about_accuracy
from ssl_zoo.suites.options import BenchConfig, SweepConfig
from ssl_zoo.suites.plan import Row
from ssl_zoo.suites.read import Suite
from ssl_zoo.training.logger_checks import check_loggers

__all__ = ["check_runs_can_start", "check_suite"]


def check_suite(suite: Suite, config: BenchConfig, rows: Sequence[Row], *, evaluated: bool) -> None:
    """Refuses a suite whose images, protocols, launcher or threads are not there.

    Args:
        suite: the suite.
        config: how it is run.
        rows: composed.
        evaluated: whether protocols evaluate the runs.

    Raises:
        UserError: one of them is not there.
    """
    check_runs_can_start(config, rows)
    for data in {row.config.data for row in rows}:
        source = SOURCES.get(data.source)
        if (
            source.reads_train
            and data.test is None
            and not data.holdout
            and (evaluated or _needs_labels(suite))
        ):
            raise UserError(
                "all claims of this suite are about accuracies, which need labelled test images; received no "
                f"data.test; set data.test={source.train_is}, or data.holdout=0.2 to test on a part of the training "
                "images"
            )
    if suite.config.evaluate and config.evaluate == ():
        raise UserError("this suite's columns are of protocols; received no evaluate; leave evaluate out")


def check_runs_can_start(config: BenchConfig | SweepConfig, rows: Sequence[Row]) -> None:
    """Refuses runs whose images, loggers, launcher or threads are not there.

    Raises:
        UserError: one of them is not there.
    """
    for data in {row.config.data for row in rows}:
        check_folders(data)
    for row in rows:
        check_loggers(row.config)
    if config.launcher == "slurm":
        check_submitit()
    elif (config.threads or 1) > (cores := os.cpu_count() or 1):
        raise UserError(f"threads must be at most the number of cores, {cores}; received {config.threads}")


def _needs_labels(suite: Suite) -> bool:
    return bool(suite.claims) and all(is_about_accuracy(claim) for claim in suite.claims)
