"""A run as a list of runs shows it: read from its files when it is asked for, without torch and without any checks
but of types. A file that vanishes, is damaged or is none of ours costs the values in it, and `problem` names it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_zoo.files.json_files import load_json
from ssl_zoo.files.locks import LOCK, is_held
from ssl_zoo.run_dir.fast_yaml import read_dotted
from ssl_zoo.run_dir.find import CONFIG, RESULT, Found
from ssl_zoo.run_dir.metrics_csv import read_metrics
from ssl_zoo.run_dir.result_card import result_html

__all__ = ["FIELDS", "STATES", "ListedRun", "written"]

STATES = {
    "finished": "it has a result",
    "running": "a process holds its folder",
    "interrupted": "it has begun, has no result, and no process holds its folder",
    "failed": "its suite recorded an error, and it has no result",
    "queued": "its job was submitted to SLURM and has not begun",
    "starting": "a process holds its folder and has written nothing yet",
    "imported": "another program trained it",
    "damaged": "config.yaml or result.json cannot be read",
}
NEEDED = {"data.name", "epochs", "seed"}  # keys by which a config.yaml is known for ours
NO_METRICS = {"epoch", "step", "lr", "seed", "epochs", "steps"}  # numbers in the files that measure nothing
# What a list knows of each run besides its metrics and its configuration.
FIELDS = {
    "run": "path below the listed folder",
    "method": "method.name",
    "data": "data.name",
    "seed": "seed",
    "state": ", ".join(STATES),
    "verdict": "healthy, collapsed …; none without a result",
    "outcome": "the verdict, or else the state",
    "epoch": "epochs trained",
    "epochs": "epochs of the whole run",
    "date": "when its result, or else its last epoch, was written",
    "time": "seconds of training",
    "differs": "axes on which it differs from its method's paper",
    "cause": "likely cause of a verdict that is not healthy",
    "suite": "suites that have it, by their records among the listed folders",
    "row": "rows of these suites that it is a seed of",
    "hash": "of the configuration",
    "commit": "of ssl-zoo when it was trained",
}


class ListedRun:
    """A run directory. Each file is read once, when a value in it is first asked for.

    Args:
        found: the folder.
        notes_of: returns what suites recorded of a run, given its folder: `suite`, `row`, `error`.
    """

    def __init__(self, found: Found, notes_of: Callable[[Path], Mapping[str, Any]] = lambda _: {}) -> None:
        self.folder, self.name, self.files = found.folder, found.name, found.files
        self._notes_of = notes_of

    def __repr__(self) -> str:
        return f"<run '{self.name}': {self.outcome}>"

    def _repr_html_(self) -> str:
        return result_html(self.result, self.folder, self.outcome)

    @cached_property
    def _config(self) -> tuple[dict[str, Any], str | None]:
        if CONFIG not in self.files:
            return {}, None if RESULT not in self.files else f"there is no {CONFIG}"
        try:
            values = read_dotted(self.folder / CONFIG)
        except (OSError, ValueError) as error:
            return {}, f"{CONFIG} cannot be read ({_reason(error)})"
        named = isinstance(values.get("method.name"), str) and values.keys() >= NEEDED
        return values, None if named else f"{CONFIG} is no configuration of a run"

    @property
    def config(self) -> Mapping[str, Any]:
        """The values of config.yaml, by dotted key."""
        return self._config[0]

    @cached_property
    def _result(self) -> tuple[dict[str, Any], str | None]:
        if RESULT not in self.files:
            return {}, None
        try:
            values = load_json(self.folder / RESULT)
        except FileNotFoundError:  # set aside, as the run goes on
            return {}, None
        except (OSError, ValueError) as error:
            return {}, f"{RESULT} cannot be read ({_reason(error)})"
        if not isinstance(values, dict) or not isinstance(values.get("verdict"), str):
            return {}, f"{RESULT} is no result of a run"
        return values, None

    @property
    def result(self) -> Mapping[str, Any]:
        """The values of result.json; empty where there is none."""
        return self._result[0]

    @property
    def problem(self) -> str | None:
        """The file that cannot be read, and why; None where all is well."""
        return self._config[1] or self._result[1]

    @property
    def config_problem(self) -> str | None:
        """Why config.yaml cannot be read; None where it can."""
        return self._config[1]

    @property
    def is_foreign(self) -> bool:
        """Whether a config.yaml is all that the folder has in common with a run."""
        return self._config[1] is not None and not self.has_begun

    @property
    def has_begun(self) -> bool:
        """Whether the folder holds more of a run than a config.yaml."""
        return bool({RESULT, "metrics.csv", "environment.json", "checkpoints"} & self.files)

    @property
    def is_busy(self) -> bool:
        """Whether a process works in its folder now, training it or, say, evaluating it."""
        return is_held(self.folder)

    @cached_property
    def state(self) -> str:
        """One of `STATES`."""
        if CONFIG not in self.files and RESULT not in self.files:
            return "starting" if LOCK in self.files and self.is_busy else "queued"
        if self.problem is not None:
            return "damaged"
        if self.config["method.name"] == "imported":
            return "imported"
        if self.result:
            return "finished"
        if LOCK in self.files and self.is_busy:
            return "running"
        return "failed" if self._notes_of(self.folder).get("error") else "interrupted"

    @property
    def verdict(self) -> str | None:
        """The verdict in a word; None without one."""
        return None if self.state in ("imported", "damaged") else self.result.get("verdict")

    @property
    def outcome(self) -> str:
        """The verdict, or the state of a run without one."""
        return self.verdict or self.state

    @cached_property
    def _rows(self) -> list[dict[str, float]]:
        return read_metrics(self.folder) if "metrics.csv" in self.files else []

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """The figures of result.json by key, those of baselines too; without a result the last ones measured."""
        if self.result:
            blocks = {**self.result, **_block("baselines.", self.result.get("baselines"))}
            return {k: v for k, v in blocks.items() if _is_number(v) and k not in NO_METRICS}
        trained = [row for row in self._rows if row.get("epoch", 0) > 0]
        return {k: v for row in trained for k, v in row.items() if k not in NO_METRICS}

    @cached_property
    def evaluations(self) -> Mapping[str, float]:
        """The headline accuracy of each protocol as `eval.PROTOCOL`, that of the trained encoder measured last."""
        names = [name for name in self.files if name.startswith("eval-") and name.endswith(".json")]
        values = {}
        for file in sorted((self.folder / name for name in names), key=_changed):
            try:
                record = load_json(file)
                if record["encoder"]["weights"] == "trained" and _is_number(record["top1"]):
                    values[f"eval.{record['protocol']}"] = record["top1"]
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return values

    def field(self, name: str) -> Any:
        """Returns one of `FIELDS`; None where it is not known."""
        if name == "run":
            return self.name
        if name in ("state", "verdict", "outcome"):
            return getattr(self, name)
        if name == "seed" or name == "epochs":
            return self.config.get(name)
        if name in ("suite", "row"):
            return self._notes_of(self.folder).get(name)
        if name in ("method", "data"):
            return self.config.get(f"{name}.name")
        if name == "epoch":
            return None if self.state in ("imported", "damaged") else self._epochs_done()
        if name == "date":
            newest = RESULT if self.result else "metrics.csv" if "metrics.csv" in self.files else CONFIG
            changed = _changed(self.folder / newest)
            return datetime.datetime.fromtimestamp(changed).isoformat(" ", "minutes") if changed else None
        if name == "differs":
            axes = self.result.get("differs_from_paper")
            return (
                ", ".join(f"{k}={written(v)}" for k, v in axes.items()) or None
                if isinstance(axes, dict)
                else None
            )
        key = {"time": "train_seconds", "hash": "config_hash", "commit": "git_commit"}.get(name, name)
        return self.result.get(key) if self.state != "imported" else None

    def _epochs_done(self) -> int | None:
        if self.result:
            done = self.result.get("epochs")
            return done if isinstance(done, int) else None
        return int(max((row.get("epoch", 0.0) for row in self._rows), default=0.0))


def written(value: Any) -> str:
    """Writes a value as an override does."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(written, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _block(prefix: str, values: Any) -> dict[str, Any]:
    return {f"{prefix}{k}": v for k, v in values.items()} if isinstance(values, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _changed(file: Path) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return next(iter(str(text).splitlines()), type(error).__name__)
