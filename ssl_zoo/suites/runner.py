"""Runs the trials of a suite or a sweep that have no result yet, here or on a cluster, and shows how it goes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from ssl_zoo.config.schema import TrainerConfig
from ssl_zoo.errors import Interrupted
from ssl_zoo.hardware.device import pick_device
from ssl_zoo.suites.launch_local import Failure, Slots, run_local
from ssl_zoo.suites.launch_slurm import run_slurm
from ssl_zoo.suites.options import BenchConfig, SweepConfig
from ssl_zoo.suites.progress import SuiteProgress
from ssl_zoo.suites.results import Results
from ssl_zoo.suites.rounds import Rounds
from ssl_zoo.suites.time_limit import TimeLimit
from ssl_zoo.suites.trial import Trial

__all__ = ["Runner"]


class Runner:
    """Runs rounds of trials; one that fails does not stop the others.

    Args:
        config: the launcher, how many trials at a time, and the time limit.
        results: of the runs.
        silent: print nothing.
        bar: whether a terminal gets a bar.

    Attributes:
        limit: the time in which all rounds end.
        failed: names of the runs that failed, and of those that begin with one of them.
    """

    def __init__(
        self, config: BenchConfig | SweepConfig, results: Results, *, silent: bool, bar: bool = True
    ) -> None:
        self.config, self.results = config, results
        self.silent, self.bar = silent, bar
        self.limit = TimeLimit(config.max_minutes)
        self.failed = set[str]()

    def fits(self, trial: Trial) -> bool:
        """Whether a trial would probably end within the time limit."""
        return self.limit.fits(trial.row)

    def run(self, rounds: Rounds, trainer: TrainerConfig) -> None:
        """Runs what is not done.

        Args:
            rounds: the trials.
            trainer: of the runs: their accelerator and number of devices.
        """
        for row in rounds.trials:
            for trial in rounds.started(row):
                self.limit.note(row, self.results.record(trial).values.get("seconds"))
        local = self.config.launcher == "local"
        device = pick_device(trainer.accelerator).type if local else "cpu"
        left = max(1, rounds.total - rounds.ended)
        workers = self.config.workers if local else self.config.workers or left
        slots = Slots.of_machine(device, workers, self.config.threads, trainer.devices)

        def on_end(trial: Trial, failure: Failure | None) -> None:
            if failure is not None:
                self.results.errors[trial.name] = f"{failure.message} (log: {failure.log})"
            record = self.results.record(trial)
            self.limit.note(trial.row, record.values.get("seconds"))
            blocked = rounds.end(trial, failed=failure is not None)
            progress.end(trial, record, failure)
            for later in blocked:
                why = failure and replace(failure, trial=later, message=str(self.results.error(later)))
                progress.end(later, self.results.record(later), why)

        runs = self.results.runs
        with SuiteProgress(rounds, self.limit, slots.workers, silent=self.silent, bar=self.bar) as progress:
            if local:
                run_local(rounds.take, runs, slots, on_tick=progress.update, on_end=on_end)
            else:
                slurm, counts = self.config.slurm, progress.update_counts
                run_slurm(rounds.take, runs, slurm, self.config.workers, on_tick=counts, on_end=on_end)
        self.failed |= rounds.failed

    def interrupted(self, stopped: KeyboardInterrupt, command: Sequence[str]) -> Interrupted:
        """Returns what is raised in place of Ctrl-C or a signal, with the command that goes on."""
        rest = "the others go on there" if self.config.launcher == "slurm" else "those under way are saved"
        message = f"stopped; what is done stays done, and {rest}; to go on: {shlex.join(command)}"
        return Interrupted(message, getattr(stopped, "number", 0))
