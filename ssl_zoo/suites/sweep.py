"""Runs a sweep, `ssl-zoo train -m key=a,b`: each combination and seed that has no result yet."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

from ssl_zoo.config.overrides import write_override
from ssl_zoo.files.folders import check_writable
from ssl_zoo.suites.checks import check_runs_can_start
from ssl_zoo.suites.collect import collect, data_in_words
from ssl_zoo.suites.options import read_sweep
from ssl_zoo.suites.progress import sentences_on_time_limit
from ssl_zoo.suites.record import SuiteRecord
from ssl_zoo.suites.results import Results
from ssl_zoo.suites.rounds import Rounds
from ssl_zoo.suites.runner import Runner
from ssl_zoo.suites.sweep_plan import SweepPlan, check_runs
from ssl_zoo.terminal.console import Console, styled

__all__ = ["SweepRun"]


class SweepRun:
    """A sweep: planned and checked here, before anything is created.

    Args:
        overrides: as typed, without `-m`.
        silent: print nothing.

    Attributes:
        config: how it is run.
        plan: its rows.
        folder: of its runs and its report.
        results: of its runs.
        runner: runs what is missing.

    Raises:
        UserError: the overrides or a combination is wrong, or the folder holds other runs.
    """

    def __init__(self, overrides: Sequence[str], *, silent: bool = False) -> None:
        self.command = ["ssl-zoo", "train", "-m", *overrides]
        self.config, folder, training = read_sweep(overrides)
        self.plan = SweepPlan(training)
        self.messages = Console(quiet=silent, stderr=True)
        self.trials = self.plan.trials()
        self.folder = self.plan.default_folder if folder is None else Path(folder).expanduser()
        rows = self.plan.rows
        check_writable(self.folder, "run_dir must be a folder that can be written to", "name another")
        check_runs(self.folder, self.trials)
        check_runs_can_start(self.config, rows)
        self.results = Results(self.folder, self.folder)
        self.runner = Runner(
            self.config, self.results, silent=silent, bar=all(row.config.trainer.progress for row in rows)
        )

    def run(self) -> SuiteRecord:
        """Runs what is missing and returns the record, which lies in the folder as well.

        Raises:
            Interrupted: Ctrl-C; the runs are saved and the same command goes on.
        """
        rounds = self._rounds()
        done = f" · {rounds.total} runs, {rounds.ended} of them done already"
        self.messages.print(styled((self.plan.title, "bold"), f"{done} · {self.folder}"))
        try:
            self.runner.run(rounds, self.plan.rows[0].config.trainer)
        except KeyboardInterrupt as stopped:
            raise self.runner.interrupted(stopped, self.command) from None
        ending = sentences_on_time_limit(self.config, rounds)
        for sentence in ending:
            self.messages.print(sentence, style="dim")
        self.folder.mkdir(parents=True, exist_ok=True)  # where no run was started
        record = self.record(ending)
        record.write(self.folder)
        return record

    def record(self, remarks: Sequence[str] = ()) -> SuiteRecord:
        """Returns the record of the runs, done or not."""
        plan = self.plan
        record = collect(
            plan.suite(), plan, plan.rows, self.trials, self.results, command=self.command, remarks=remarks
        )
        words = dict.fromkeys(data_in_words(row) for row in plan.rows)
        return dataclasses.replace(record, data_in_words="; ".join(words))

    def commands(self) -> list[str]:
        """Returns the command of each run, as it is typed."""
        return [
            shlex.join(
                [
                    "ssl-zoo",
                    "train",
                    *trial.overrides,
                    write_override("run_dir", str(self.folder / trial.name)),
                ]
            )
            for group in self.trials.values()
            for trial in group
        ]

    def _rounds(self) -> Rounds:
        return Rounds(self.trials, len(self.plan.seeds), self.results.is_done, self.runner.fits)
