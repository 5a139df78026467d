"""Steps of one call in turn, and the files written after each."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ssl_zoo.run_dir.environment import git_commit, versions

from . import steps
from .plan import Decision, decide, read_throughput
from .processes import SHORT, CommandOutcome, CommandTask, run_together
from .summary import summary

__all__ = ["NAMES", "Session"]

NAMES = ("methods", "throughput", "large", "simsiam", "more")
LIMITS = {"methods": 150.0, "tests": 240.0, "throughput": 240.0, "large": 90.0, "linear": 90.0}  # seconds
AT_ONCE = 7  # small runs at a time: five in fp32 should take 40 GB
RESERVE = 15.0  # seconds that are left at the end, for a process that is slow to end


class Session:
    """Steps of one call, their time, and their results so far."""

    def __init__(self, setting: steps.Setting, minutes: float, throughput: Path | None = None) -> None:
        self.setting = setting
        self.deadline = time.monotonic() + 60 * minutes - RESERVE
        self.measured = None if throughput is None else read_throughput(throughput)
        self.outcomes: list[CommandOutcome] = []
        self.machine = {
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "a CPU",
            "torch": versions()["torch"],
            "ssl_zoo": versions()["ssl-zoo"],
            "cores": setting.cores,
            "git_commit": git_commit(),
            "command": shlex.join(["python", "-m", "ssl_zoo.benchmarks.gpu", *sys.argv[1:]]),
            "toy": setting.toy,
        }
        setting.out.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        seconds: float = self.deadline - time.monotonic()
        return seconds

    def step(self, name: str) -> None:
        """Runs one of `NAMES`."""
        {
            "methods": self.methods,
            "throughput": self.throughput,
            "large": self.large,
            "simsiam": self.simsiam,
            "more": self.more,
        }[name]()

    def methods(self) -> None:
        """Runs all methods in two precisions, and the tests."""
        tasks = steps.methods(self.setting, LIMITS["methods"])
        if self.setting.tests is None:
            self._note(CommandOutcome("tests", "not started: no folder of tests; set --tests CHECKOUT/tests"))
        else:
            tasks = steps.tests(self.setting, LIMITS["tests"]) + tasks
        self._run(tasks, at_once=1 if self.setting.toy else AT_ONCE)

    def throughput(self) -> None:
        """Measures the contenders."""
        self._run([steps.throughput(self.setting, LIMITS["throughput"])])

    def large(self) -> None:
        """Measures large images: decoding, and waiting for them."""
        self._run([steps.large_images(self.setting, LIMITS["large"])])

    def simsiam(self) -> None:
        """Runs SimSiam as long as fits, and a linear classifier on it."""
        decision = self._decide(reserved=0 if self.setting.toy else LIMITS["linear"] / 2)
        if decision is None:
            self._note(
                CommandOutcome("simsiam", f"not started: {self.left:.0f} s are too short for 20 epochs")
            )
            return
        self._run([self._long("simsiam", decision)])
        if decision.compile and self.outcomes[-1].status.startswith("failed"):
            decision = decision._replace(compile=False)
            self._run([self._long("simsiam", decision, name="simsiam again")])
        name = self.outcomes[-1].name
        self._copy_results(name)
        if self.outcomes[-1].status == "done":
            self._run([steps.evaluation(self.setting, name, LIMITS["linear"])])

    def more(self) -> None:
        """Runs the other methods, then seeds, then a suite, each as long as fits."""
        others = [(method, method, 0) for method in steps.METHODS[1:]]
        seeds = [("simsiam", f"simsiam seed {seed}", seed) for seed in (1, 2)]
        for group in (others, seeds):
            decision = self._decide(at_once=len(group))
            if decision is None:
                self._note(
                    CommandOutcome(", ".join(name for _, name, _ in group), "not started: no time is left")
                )
                continue
            tasks = [self._long(method, decision, seed, name) for method, name, seed in group]
            self._run(tasks, at_once=1 if self.setting.toy else len(tasks))
        decision = self._decide(at_once=4)
        if decision is None or self.measured is None:
            self._note(CommandOutcome("figure 2", "not started: no time is left, or no throughput measured"))
        else:
            epochs = 1 if self.setting.toy else decision.epochs
            self._run([steps.suite(self.setting, self.left, epochs, at_once=4)])

    def _long(self, method: str, decision: Decision, seed: int = 0, name: str | None = None) -> CommandTask:
        epochs = 2 if self.setting.toy else decision.epochs
        more = [f"epochs={epochs}", f"seed={seed}", f"compile={str(decision.compile).lower()}"]
        more += [f"data.workers={self.setting.cores}", "monitor.every_epochs=20"]
        return steps.run(self.setting, method, self.left, *more, name=name)

    def _decide(self, *, at_once: int = 1, reserved: float = 0) -> Decision | None:
        if self.setting.toy:
            return Decision(2, False, 0) if self.left > SHORT else None
        return decide(self.measured, self.left - reserved, at_once=at_once) if self.left > SHORT else None

    def _run(self, tasks: Sequence[CommandTask], at_once: int = 1) -> None:
        """Runs the tasks for which there is time."""
        threads = max(1, self.setting.cores // at_once) if at_once > 1 else None
        run_together(
            tasks, self.setting.work, self._note, deadline=self.deadline, at_once=at_once, threads=threads
        )

    def _note(self, outcome: CommandOutcome) -> None:
        """Writes all results so far."""
        self.outcomes.append(outcome)
        if outcome.name == "throughput" and outcome.figures:
            self.measured = outcome.figures
        sys.stdout.write(
            f"{outcome.name}: {outcome.status}, {outcome.seconds:.0f} s; {self.left:.0f} s left\n"
        )
        sys.stdout.flush()
        out = self.setting.out
        with (out / "log.txt").open("a") as log:
            log.write(
                f"\n== {outcome.name}: {outcome.status}\n{shlex.join(outcome.command)}\n{outcome.printed}\n"
            )
        outcomes = [
            {**dataclasses.asdict(o), "printed": o.printed if o.status != "done" else ""}
            for o in self.outcomes
        ]
        (out / "results.json").write_text(
            json.dumps({"machine": self.machine, "outcomes": outcomes}, indent=1) + "\n", encoding="utf-8"
        )
        (out / "summary.md").write_text(summary(self.machine, self.outcomes, self.measured), encoding="utf-8")

    def _copy_results(self, name: str) -> None:
        folder = self.setting.folder(name)
        for file in ("curves.png", "metrics.csv"):
            if (folder / file).is_file():
                shutil.copy(folder / file, self.setting.out / f"{folder.name}-{file}")
