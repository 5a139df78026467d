"""Runs a suite: trains and evaluates each row and seed that has no result yet, and judges the claims."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from ssl_zoo.config.overrides import read_override
from ssl_zoo.files.folders import check_writable
from ssl_zoo.hardware.device import pick_device
from ssl_zoo.suites.checks import check_suite
from ssl_zoo.suites.claims import Claim
from ssl_zoo.suites.collect import collect, row_records
from ssl_zoo.suites.evaluations import evaluation_overrides
from ssl_zoo.suites.extend import rows_to_extend
from ssl_zoo.suites.listing import suite_files
from ssl_zoo.suites.options import FIRST_SEEDS, ROWS, BenchConfig, read_bench
from ssl_zoo.suites.plan import Planner
from ssl_zoo.suites.progress import sentence_on_stopped_tuning, sentences_on_ending
from ssl_zoo.suites.read import Suite, read_suite
from ssl_zoo.suites.record import SuiteRecord, read
from ssl_zoo.suites.results import Results
from ssl_zoo.suites.rounds import Rounds
from ssl_zoo.suites.runner import Runner
from ssl_zoo.suites.stages import resolve
from ssl_zoo.suites.trial import Trial, slug
from ssl_zoo.suites.tuning import plan_tuning
from ssl_zoo.terminal.console import Console, styled

__all__ = ["SuiteRun"]

HOPELESS = 2  # times max_seeds: a claim that would probably take more seeds is given up


class SuiteRun:
    """A suite with the user's overrides: planned and checked here, before anything is created.

    Attributes:
        config: how it is run.
        folder: of its report: `OUT/SUITE-DATA-BUDGET`.
        results: of its runs.
        runner: runs what is missing.

    Raises:
        UserError: the overrides, the suite, a row or a claim is wrong.
    """

    def __init__(self, overrides: Sequence[str], *, silent: bool = False) -> None:
        self.overrides, self.messages = overrides, Console(quiet=silent, stderr=True)
        self.config, evaluation, training = read_bench(overrides)
        self.suite = suite = read_suite(self.config.suite)
        here = self.config.launcher == "local" or self.config.slurm.gpus == 0  # else a GPU of the cluster's
        threads = self.config.threads or (1 if here and _device(training) == "cpu" else None)
        self.planner = Planner(suite, self.config.budget, training, self.config.experiments, threads)
        names = suite.config.evaluate if self.config.evaluate is None else self.config.evaluate
        self.rows = self.planner.rows()
        self.evaluations = evaluation_overrides(names, evaluation, threads, self.rows[0].config)
        out = Path(self.config.out).expanduser()
        self.runs = out / ROWS
        self.folder = out / _folder_name(suite, self.config, self.planner, evaluation)
        self.tuning = (
            None if suite.config.tune is None else plan_tuning(suite.config.tune, self.planner, self.rows)
        )
        self.results = Results(self.runs, self.folder)
        self.kept = dict[str, list[Trial]]()  # of an earlier record
        self.runner = Runner(self.config, self.results, silent=silent, bar=self.config.progress)
        rule = "out must be a folder that can be written to"
        check_writable(self.runs, rule, "name another with out=", out)
        check_suite(suite, self.config, self.rows, evaluated=bool(self.evaluations))

    def run(self) -> SuiteRecord:
        """Runs what is missing and returns the record, which lies in the suite's folder as well.

        Raises:
            Interrupted: Ctrl-C; the runs are saved and the same overrides go on.
        """
        tuned = None
        try:
            if self.tuning is not None:
                self.messages.print(self._heading("tuning of: ", self.tuning.all_trials))
                candidates = {row: _flat(trials) for row, trials in self.tuning.trials.items()}
                most = max(map(len, candidates.values()))
                tuning = Rounds(candidates, most, self.results.is_done, self.runner.fits)
                self.runner.run(tuning, self.rows[0].config.trainer)
                if tuning.stopped:  # rows wait until all candidates have been tried
                    ending = [sentence_on_stopped_tuning(self.config, tuning)]
                    return self._finish(self._rounds({}), None, ending, waiting=True)
                tuned = self.tuning.chosen(self.results.record)
                key = self.tuning.config.key
                self.rows = self.planner.rows({row: [f"{key}={value}"] for row, value in tuned.items()})
            rounds = self._rounds(tuned or {})
            self.messages.print(self._heading("", _flat({row: rounds.started(row) for row in rounds.trials})))
            self.runner.run(rounds, self.rows[0].config.trainer)
        except KeyboardInterrupt as stopped:
            raise self.runner.interrupted(stopped, ["ssl-zoo", "bench", *self.overrides]) from None
        return self._finish(rounds, tuned, sentences_on_ending(self.config, rounds))

    def _finish(
        self,
        rounds: Rounds,
        tuned: Mapping[str, float] | None,
        ending: Sequence[str],
        waiting: bool = False,
    ) -> SuiteRecord:
        """Prints how the suite ended, and writes and returns its record."""
        trials = {row: rounds.started(row) for row in rounds.trials}
        if not waiting:
            trials = {row: self._with_kept(row, group) for row, group in trials.items()}
        record = self._collect(trials, tuned, ending, waiting)
        for sentence in ending:
            self.messages.print(sentence, style="dim")
        self.folder.mkdir(parents=True, exist_ok=True)
        record.write(self.folder)
        return record

    def preview(self) -> SuiteRecord:
        """Prints what would be run; a row is shown by what sets it apart."""
        show, rounds = Console(quiet=self.messages.quiet).print, self._rounds({})
        trials = {row: rounds.started(row) for row in rounds.trials}
        tuning = [] if self.tuning is None else self.tuning.all_trials
        for what, group in (("tuning of: ", tuning), ("", _flat(trials))):
            if group:
                show(self._heading(what, group))
        for row in self.rows:
            done = sum(map(self.results.is_done, trials[row.name]))
            what = shlex.join(row.row_overrides) or "(the base)"
            show(f"{row.name}: {done} of {len(trials[row.name])} done · {what}")
        if self.config.seeds == "auto":
            show(
                f"then one more seed at a time for the rows of undecided claims, up to {self.config.max_seeds} a row: "
                f"{len({trial.name for trial in _flat(rounds.trials)}) - rounds.total} runs at most"
            )
        shared = [f"data={self.planner.data}", *self.planner.base, *self.planner.overrides]
        show(f"all rows: {shlex.join(dict.fromkeys(shared))}", style="dim")
        return self._collect(trials, None)

    def _rounds(self, tuned: Mapping[str, float]) -> Rounds:
        """Returns the trials of all rows: the first seeds, and with seeds=auto what claims ask for."""
        config = self.config
        first, most = (
            (FIRST_SEEDS, config.max_seeds) if config.seeds == "auto" else (config.seeds, config.seeds)
        )
        stages = {row.name: (row.source.start_from, row.trial) for row in self.rows}
        before = self._seeds_before() if config.seeds == "auto" else {}
        whole = resolve(stages, max(most, *before.values(), 0), self.evaluations)
        self.kept = {row: whole[row][:number] for row, number in before.items() if row in whole}
        trials = {row: group[:most] for row, group in whole.items()}

        def asked_by(claim: Claim, counts: Mapping[str, int]) -> set[str]:
            judged = {row: group[: counts[row]] for row, group in trials.items()}
            records = row_records(self.rows, judged, self.results.record, tuned)
            return rows_to_extend(claim, records, most=HOPELESS * most)

        evaluated = bool(self.evaluations)
        claims = self.suite.claims_on(self.rows[0].config, evaluated=evaluated) if most > first else ()
        return Rounds(trials, first, self.results.is_done, self.runner.fits, claims, asked_by)

    def _seeds_before(self) -> dict[str, int]:
        """Returns the finished seeds of each row in an earlier record of this suite."""
        try:
            record = read(self.folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return {row.name: sum(run.finished for run in row.runs) for row in record.rows}

    def _with_kept(self, row: str, started: list[Trial]) -> list[Trial]:
        """Adds the seeds that an earlier record of this suite has: a lower max_seeds takes none away."""
        names = {trial.name for trial in started}
        further = (trial for trial in self.kept.get(row, ()) if trial.name not in names)
        return [*started, *filter(self.results.is_done, further)]

    def _collect(
        self,
        trials: Mapping[str, Sequence[Trial]],
        tuned: Mapping[str, float] | None,
        ending: Sequence[str] = (),
        waiting: bool = False,
    ) -> SuiteRecord:
        remarks = list(ending)
        if self.tuning is not None:
            errors, is_done = self.results.errors, self.results.is_done
            tried = all(trial.name in errors or is_done(trial) for trial in self.tuning.all_trials)
            remarks = [*self.tuning.sentences(self.results.record, tried=tried), *ending]
        return collect(
            self.suite,
            self.planner,
            self.rows,
            trials,
            self.results,
            command=["ssl-zoo", "bench", *self.overrides],
            tuned=tuned,
            remarks=remarks,
            waiting=waiting,
        )

    def _heading(self, what: str, trials: Sequence[Trial]) -> Text:
        unique = {trial.name: trial for trial in trials}
        done = sum(map(self.results.is_done, unique.values()))
        config = self.suite.config
        rest = f" · {config.paper}, {config.section} · {len(unique)} runs, {done} of them done already"
        return styled((f"{what}{config.title}", "bold"), rest)


def _flat(trials: Mapping[Any, Sequence[Trial]]) -> list[Trial]:
    return [trial for group in trials.values() for trial in group]


def _device(overrides: Sequence[str]) -> str:
    values = [str(value) for key, value in map(read_override, overrides) if key == "trainer.accelerator"]
    known = values and values[-1] in ("cpu", "gpu", "mps")  # another is refused with the rows
    return pick_device(values[-1] if known else "auto").type


def _folder_name(suite: Suite, config: BenchConfig, planner: Planner, evaluation: Sequence[str]) -> str:
    """Returns a name for each suite, data and budget, and for each set of further overrides."""
    further = [override for override in planner.overrides if not override.startswith("data=")]
    files = suite_files()
    another = [] if files.get(suite.name, suite.file) == suite.file else [str(suite.file.resolve())]
    usual = ("auto", None, None, None)  # seeds, evaluate, experiments, threads
    choices = (config.seeds, config.evaluate, config.experiments, config.threads)
    overrides = [*planner.overrides, *evaluation, *another, *map(str, choices)]
    plain = not (further or evaluation or another) and choices == usual
    mark = "" if plain else "-" + hashlib.sha256("\n".join(overrides).encode()).hexdigest()[:6]
    return f"{slug(suite.name)}-{slug(planner.data)}-{config.budget}{mark}"
