"""`ssl-zoo bench`: the suites there are, or one of them run, judged and reported."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import read_override
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.errors import Interrupted, Unfinished, UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.hardware.device import pick_device
from ssl_zoo.runs.run_files import read_record
from ssl_zoo.suites.claims import is_about_accuracy
from ssl_zoo.suites.collect import collect, run_record
from ssl_zoo.suites.evaluations import evaluations
from ssl_zoo.suites.files import suite_files
from ssl_zoo.suites.launch_local import Failure, Running, Slots, run_local
from ssl_zoo.suites.options import BenchConfig, read_overrides
from ssl_zoo.suites.plan import Job, Planner, Row, slug
from ssl_zoo.suites.progress import Board
from ssl_zoo.suites.read import Suite, read_suite
from ssl_zoo.suites.record import RunRecord, SuiteRecord
from ssl_zoo.suites.trial import COST, is_done
from ssl_zoo.suites.tuning import trials
from ssl_zoo.terminal.console import Console, styled

__all__ = ["bench"]

ROWS = "rows"  # the folder that all suites share
STATES = {"holds": "green", "fails": "red", "undecided": "yellow"}


def bench(overrides: Sequence[str], *, silent: bool = False) -> SuiteRecord:
    """Runs a suite: `ssl_zoo.bench(["suite=simsiam_table1", "seeds=3"])`, as `ssl-zoo bench` does.

    Args:
        overrides: `key=value`; see `BenchConfig`. All others are overrides of training and hold for each row.
        silent: print nothing.

    Returns:
        What `suite.json` holds, in `OUT/SUITE-DATA-BUDGET`, with report.html, report.md and results.csv beside it.

    Raises:
        UserError: the overrides, the suite, a row or a claim is wrong; nothing has been created.
        Unfinished: some runs failed; the others are done, and the report says which failed and why.
        Interrupted: Ctrl-C; the runs are saved and the same overrides go on.
    """
    return _Bench(overrides, Console(quiet=silent)).run()


class _Bench:
    def __init__(self, overrides: Sequence[str], console: Console) -> None:
        self.overrides, self.console = overrides, console
        self.config, evaluation, rest = read_overrides(overrides)
        suite = read_suite(self.config.suite)
        self.suite = suite
        there = self.config.launcher == "local" or self.config.slurm.gpus == 0  # else a GPU of the cluster's
        cpu = there and _device(rest) == "cpu"
        threads = self.config.threads or (1 if cpu else None)
        self.planner = Planner(suite, self.config.budget, rest, self.config.experiments, threads)
        names = suite.config.evaluate if self.config.evaluate is None else self.config.evaluate
        self.rows = self.planner.rows()
        self.evaluations = evaluations(names, evaluation, threads, self.rows[0].config)
        self.out = Path(self.config.out).expanduser()
        self.runs = self.out / ROWS
        self.folder = self.out / _folder_name(suite, self.config, self.planner, evaluation)
        self.tuning = (
            None if suite.config.tune is None else trials(suite.config.tune, self.planner, self.rows)
        )
        self.errors: dict[str, str] = {}
        self._check()

    def _check(self) -> None:
        rule = "out must be a folder that can be written to"
        check_writable(self.runs, rule, "name another with out=", self.out)
        for data in {row.config.data for row in self.rows}:
            _check_images(data)
            if (
                SOURCES.get(data.source).folders
                and data.test is None
                and not data.holdout
                and self._needs_labels()
            ):
                raise UserError(
                    "all claims of this suite are about accuracies, which need labelled test images; received no "
                    "data.test; set data.test=FOLDER, or data.holdout=0.2 to test on a part of the training images"
                )
        if self.suite.config.evaluate and self.config.evaluate == ():
            raise UserError("this suite's columns are of protocols; received no evaluate; leave evaluate out")
        if self.config.launcher == "slurm":
            from ssl_zoo.suites.launch_slurm import check_submitit

            check_submitit()
        elif (self.config.threads or 1) > (cores := os.cpu_count() or 1):
            raise UserError(
                f"threads must be at most the number of cores, {cores}; received {self.config.threads}"
            )

    def _needs_labels(self) -> bool:
        claims = self.suite.claims
        return bool(self.evaluations) or (bool(claims) and all(is_about_accuracy(claim) for claim in claims))

    def run(self) -> SuiteRecord:
        """Runs what is missing and writes the report."""
        if self.config.dry_run:
            return self._say_what()
        rows, tuned = self.rows, None
        try:
            if self.tuning is not None:
                self._heading("trials of: ", self.tuning.all_jobs)
                self._do({row: _flat(jobs) for row, jobs in self.tuning.jobs.items()})
                tuned = self.tuning.chosen(self.runs)
                key = self.tuning.config.key
                rows = self.planner.rows({row: [f"{key}={value}"] for row, value in tuned.items()})
            jobs = self._jobs(rows)
            self._heading("", _flat(jobs))
            self._do(jobs)
        except KeyboardInterrupt:
            raise Interrupted(self._stopped()) from None
        self.rows = rows
        record = self._collect(jobs, tuned)
        self._write(record)
        self._conclude(record)
        if self.errors:
            again = "the others are done and reported; the same command tries again"
            raise Unfinished(f"{len(self.errors)} run(s) failed; {again}")
        return record

    def _say_what(self) -> SuiteRecord:
        """Prints what would be run; a row is shown by what sets it apart."""
        jobs = self._jobs(self.rows)
        tried = [] if self.tuning is None else self.tuning.all_jobs
        for what, some in (("trials of: ", tried), ("", _flat(jobs))):
            if some:
                self._heading(what, some)
        for row in self.rows:
            done = sum(is_done(job, self.runs / job.name) for job in jobs[row.name])
            line = f"{row.name}: {done} of {len(jobs[row.name])} done · {shlex.join(row.own) or '(the base)'}"
            self.console.print(line)
        shared = [f"data={self.planner.data}", *self.planner.base, *self.planner.overrides]
        self.console.print(f"all rows: {shlex.join(dict.fromkeys(shared))}", style="dim")
        return self._collect(jobs, None)

    def _jobs(self, rows: Sequence[Row]) -> dict[str, list[Job]]:
        return {
            row.name: [row.job(seed, self.evaluations) for seed in range(self.config.seeds)] for row in rows
        }

    def _do(self, jobs: Mapping[str, Sequence[Job]]) -> None:
        """Runs those that are not done: the first seed of each row, then the second ..."""
        by_seed = sorted(_flat(jobs), key=lambda job: job.config.seed)
        unique = _unique(by_seed)
        todo = [job for job in unique.values() if not is_done(job, self.runs / job.name)]
        done = {name: self._record(job) for name, job in unique.items() if job not in todo}
        if not todo:
            return
        trainer, local = todo[0].config.trainer, self.config.launcher == "local"
        device = pick_device(trainer.accelerator).type if local else "cpu"
        many = self.config.workers if local else self.config.workers or len(todo)
        slots = Slots.of(device, many, self.config.threads, trainer.devices)

        def note(job: Job, failure: Failure | None) -> None:
            if failure is not None:
                self.errors[job.name] = f"{failure.message} (log: {failure.log})"
            cost = read_record(self.runs / job.name / COST) or {}
            board.ended(job, self._record(job), failure, cost.get("seconds"))

        def ended(one: Running, failure: Failure | None) -> None:
            note(one.job, failure)

        with Board(self.console, jobs, done, slots.workers, bar=self.config.progress) as board:
            if self.config.launcher == "slurm":
                from ssl_zoo.suites.launch_slurm import run_slurm

                run_slurm(
                    todo, self.runs, self.config.slurm, self.config.workers, watch=board.counted, ended=note
                )
            else:
                run_local(todo, self.runs, slots, watch=board.watch, ended=ended)

    def _record(self, job: Job) -> RunRecord:
        return run_record(job, self.runs, self.folder, self.errors.get(job.name))

    def _collect(self, jobs: Mapping[str, Sequence[Job]], tuned: Mapping[str, float] | None) -> SuiteRecord:
        remarks = [] if self.tuning is None else self.tuning.in_words(self.runs)
        return collect(
            self.suite,
            self.planner,
            self.rows,
            jobs,
            self.runs,
            self.folder,
            self.errors,
            command=self.overrides,
            tuned=tuned,
            remarks=remarks,
        )

    def _write(self, record: SuiteRecord) -> None:
        from ssl_zoo.reports.suite import write_report

        self.folder.mkdir(parents=True, exist_ok=True)
        record.write(self.folder)
        write_report(record, self.folder)

    def _heading(self, what: str, jobs: Sequence[Job]) -> None:
        unique = {job.name: job for job in jobs}
        done = sum(is_done(job, self.runs / name) for name, job in unique.items())
        config = self.suite.config
        rest = f" · {config.paper}, {config.section} · {len(unique)} runs, {done} of them done already"
        self.console.print(styled((f"{what}{config.title}", "bold"), rest))

    def _stopped(self) -> str:
        command = shlex.join(["ssl-zoo", "bench", *self.overrides])
        rest = "the others go on there" if self.config.launcher == "slurm" else "those under way are saved"
        return f"stopped; what is done stays done, and {rest}; to go on: {command}"

    def _conclude(self, record: SuiteRecord) -> None:
        for claim in record.claims:
            state = (f"{claim.state:>9}", STATES[claim.state])
            self.console.print(styled(state, f"  {claim.text}: {claim.why}"))
        failed = [
            f"{row.name}, seed {run.seed}: {run.error}"
            for row in record.rows
            for run in row.runs
            if run.error
        ]
        for line in failed:
            self.console.print(styled(("   failed", "red"), f"  {line}"))
        self.console.print(f"written: {self.folder / 'report.html'}, report.md, results.csv")


def _flat(jobs: Mapping[Any, Sequence[Job]]) -> list[Job]:
    return [job for group in jobs.values() for job in group]


def _unique(jobs: Sequence[Job]) -> dict[str, Job]:
    """Each run once, by name; of rows that are the same run the first, with the evaluations of all."""
    found: dict[str, Job] = {}
    for job in jobs:
        first = found.setdefault(job.name, job)
        more = tuple(overrides for overrides in job.evaluations if overrides not in first.evaluations)
        found[job.name] = replace(first, evaluations=(*first.evaluations, *more))
    return found


def _device(overrides: Sequence[str]) -> str:
    said = [str(value) for key, value in map(read_override, overrides) if key == "trainer.accelerator"]
    known = said and said[-1] in ("cpu", "gpu", "mps")  # another is refused with the rows
    return pick_device(said[-1] if known else "auto").type


def _check_images(data: DataConfig) -> None:
    """Refuses folders of images that are not there, before anything starts."""
    if not SOURCES.get(data.source).folders:
        return
    if data.train is None:
        raise UserError(
            "data=imagefolder needs a folder of training images; received none; set data.train=FOLDER"
        )
    for key, folder in (("data.train", data.train), ("data.test", data.test)):
        if folder is not None and not Path(folder).expanduser().is_dir():
            raise UserError(f"{key} must be a folder of images; there is none at '{folder}'; name another")


def _folder_name(suite: Suite, config: BenchConfig, planner: Planner, evaluation: Sequence[str]) -> str:
    """Of the report: one for each suite, data and budget, and for each set of further overrides."""
    own = [override for override in planner.overrides if not override.startswith("data=")]
    files = suite_files()
    another = [] if files.get(suite.name, suite.file) == suite.file else [str(suite.file.resolve())]
    usual = (3, None, None, None)  # seeds, evaluate, experiments, threads
    choices = (config.seeds, config.evaluate, config.experiments, config.threads)
    overrides = [*planner.overrides, *evaluation, *another, *map(str, choices)]
    plain = not (own or evaluation or another) and choices == usual
    mark = "" if plain else "-" + hashlib.sha256("\n".join(overrides).encode()).hexdigest()[:6]
    return f"{slug(suite.name)}-{slug(planner.data)}-{config.budget}{mark}"
