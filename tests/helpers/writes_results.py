"""A stand-in for `run_local` that writes results instead of training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssl_zoo.suites.launch_local import Failure, Slots
from ssl_zoo.suites.trial import Trial, is_done


class WritesResults:
    """Notes what is started and writes a result, several at a time.

    Args:
        accuracy: of a row and seed; None: the run fails.
        workers: trials at a time; the one that started last ends first.
        minutes: of each run, by which the clock moves on.
        stop_after: runs after which Ctrl-C is pressed.
    """

    def __init__(
        self, accuracy: Callable[[str, int], float | None], workers: int = 1, minutes: float = 1,
        stop_after: int | None = None,
    ) -> None:  # fmt: skip
        self.accuracy, self.workers, self.minutes, self.stop_after = accuracy, workers, minutes, stop_after
        self.started = list[tuple[str, int]]()
        self.now = 0.0

    def __call__(
        self, take: Callable[[], Trial | None], rows: Path, slots: Slots, *, on_tick: Any, on_end: Any
    ) -> None:
        running = list[Trial]()
        while True:
            while len(running) < self.workers and (trial := take()) is not None:
                if len(self.started) == self.stop_after:
                    raise KeyboardInterrupt
                assert not is_done(trial, rows / trial.name)
                self.started.append((trial.row, trial.config.seed))
                running.append(trial)
            on_tick([])
            if not running:
                return
            self.finish(running.pop(), rows, on_end)

    def finish(self, trial: Trial, rows: Path, on_end: Any) -> None:
        self.now += 60 * self.minutes
        value = self.accuracy(trial.row, trial.config.seed)
        folder = rows / trial.name
        if value is None:
            on_end(trial, Failure(trial, "it broke", folder))
            return
        folder.mkdir(parents=True)
        result = {"verdict": "healthy", "steps": 1, "baselines": {}, "linear_top1": value}
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "cost.json").write_text(json.dumps({"seconds": 60.0 * self.minutes}))
        on_end(trial, None)

    def seeds(self, row: str) -> list[int]:
        return [seed for name, seed in self.started if name == row]
