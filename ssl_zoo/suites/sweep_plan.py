"""Plans `ssl-zoo train -m`: the product of all keys with several values; those of `seed` are the seeds of each row."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
import shlex
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash, from_yaml
from ssl_zoo.config.overrides import read_override, sweep_of
from ssl_zoo.errors import UserError
from ssl_zoo.suites.plan import Row
from ssl_zoo.suites.read import Suite
from ssl_zoo.suites.schema import RowConfig, SuiteConfig
from ssl_zoo.suites.stages import hash_of_run
from ssl_zoo.suites.trial import Trial, slug

__all__ = ["SweepPlan", "check_runs"]

LONGEST = 120  # bytes of a run directory's name, but for its seed and mark
MOST_RUNS = 10_000
TAKEN = {
    "run_dir": "is one folder, in which each run has its own",
    "resume": "is not needed: the same command goes on with what was begun; leave it out",
}


class SweepPlan:
    """The rows and runs of a sweep.

    Args:
        overrides: of the runs, some of them with several values.

    Attributes:
        base: overrides that all runs share.
        swept: keys with several values, in the order of the command.
        seeds: of each row; one where the seed has one value.

    Raises:
        UserError: none has several values, an override is wrong, or a combination of them is.
    """

    budget = "full"
    overrides: tuple[str, ...] = ()  # nothing is laid over what the command says

    def __init__(self, overrides: Sequence[str]) -> None:
        values: dict[str, list[str]] = {}
        for override in overrides:
            key = override.partition("=")[0].lstrip("+")  # +key, as Hydra adds one, is the key
            if key in TAKEN:
                raise UserError(f"{key} {TAKEN[key]}; received '{override}'")
            values[key] = sweep_of(override)
        several = {key: listed for key, listed in values.items() if len(listed) > 1}
        if not several:
            raise UserError(
                "-m makes a run for each of several values; received none; write for instance "
                "ssl-zoo train -m method=simsiam,byol seed=0,1,2"
            )
        for listed in several.values():
            if len({repr(read_override(override)[1]) for override in listed}) < len(listed):
                raise UserError(f"each value stands once; received {', '.join(listed)}; leave the second out")
        if (count := math.prod(map(len, several.values()))) > MOST_RUNS:
            raise UserError(f"a sweep has at most {MOST_RUNS:,} runs; received {count:,}; give fewer values")
        self.swept = list(several)
        self.base = [listed[0] for key, listed in values.items() if key not in several]
        self._values = values
        self._several = several

    @cached_property
    def rows(self) -> list[Row]:
        """The combinations of all keys but the seed, composed."""
        keys = [key for key in self.swept if key != "seed"]
        rows, names = list[Row](), set[str]()
        for combination in itertools.product(*(self._several[key] for key in keys)):
            chosen = dict(zip(keys, combination, strict=True))
            overrides = [chosen.get(key, listed[0]) for key, listed in self._values.items() if key != "seed"]
            try:
                config = compose([*overrides, self._seed_overrides[0]])
            except UserError as error:
                raise UserError(f"{error} (run: {shlex.join(combination) or 'all'})") from error
            start = None if config.start_from is None else hash_of_run(config.start_from)
            name = _name(combination) or config.method.label
            if _folder(name).lower() in names:  # values that differ in letters that a folder's name has not
                name = f"{name}-{_digest(combination)}"
            names.add(_folder(name).lower())
            rows.append(Row(name, combination, tuple(overrides), config, RowConfig(), start))
        return rows

    @cached_property
    def _seed_overrides(self) -> list[str]:
        return self._values.get("seed", ["seed=0"])

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of each row."""
        return [compose([override]).seed for override in self._seed_overrides]

    @property
    def data(self) -> str:
        """The data of all rows."""
        return ", ".join(dict.fromkeys(row.config.data.name for row in self.rows))

    @property
    def title(self) -> str:
        """The keys with several values, and these."""
        return " × ".join(f"{key}={_values_of(listed)}" for key, listed in self._several.items())

    @property
    def default_folder(self) -> Path:
        """The folder where none is named: another for each set of overrides."""
        mark = _digest(sorted(override for listed in self._values.values() for override in listed))
        keys = "-".join(slug(key.rpartition(".")[2]) for key in self.swept)
        return Path("runs") / f"sweep-{keys[:LONGEST]}-{mark}"

    def trials(self) -> dict[str, list[Trial]]:
        """Returns the trials of each row, one for each seed; their run directories have the names of what differs."""
        trials = dict[str, list[Trial]]()
        for row in self.rows:
            own = [_folder(row.name)] if row.row_overrides else []
            trials[row.name] = [
                dataclasses.replace(
                    row.trial(seed),
                    folder="+".join([*own, *([f"seed-{seed}"] if "seed" in self.swept else [])]),
                )
                for seed in self.seeds
            ]
        return trials

    def suite(self) -> Suite:
        """Returns the suite by which the runs are collected and reported: rows without claims."""
        count = len(self.rows) * len(self.seeds)
        config = SuiteConfig(
            title=self.title,
            paper="ssl-zoo train -m",
            source="ssl-zoo train -m",
            section=f"{count} runs",
            question=f"What do different values of {', '.join(self.swept)} change?",
        )
        return Suite("sweep", Path(), config, {}, ())


def check_runs(folder: Path, trials: dict[str, list[Trial]]) -> None:
    """Refuses a folder that holds other runs than those of the sweep under the same names.

    Raises:
        UserError: it is a run directory itself, or one of its runs was begun with other settings.
    """
    advice = "name another folder with run_dir="
    if (folder / "config.yaml").is_file():
        raise UserError(f"run_dir of -m is a folder of runs; '{folder}' is a run itself; {advice}")
    for trial in itertools.chain.from_iterable(trials.values()):
        file = folder / trial.name / "config.yaml"
        if not file.is_file():
            continue
        try:
            begun: str | None = config_hash(from_yaml(file.read_text(encoding="utf-8")), trial.start_hash)
        except (OSError, ValueError, TypeError):
            begun = None
        if begun != trial.hash:
            raise UserError(
                f"the same command goes on with its runs; '{file.parent}' was begun with other settings; {advice}, or "
                "give the overrides that it was begun with"
            )


def _name(overrides: Sequence[str]) -> str:
    """Returns a name for what sets a row apart: `method=byol,epochs=50`."""
    name = ",".join(re.sub(r"[^\w.+=-]", "-", re.sub("['\"]", "", override)) for override in overrides)
    if len(letters := name.encode()) <= LONGEST:
        return name
    return f"{letters[:LONGEST].decode(errors='ignore')}-{_digest(overrides)}"


def _folder(name: str) -> str:
    """Returns the name of a row as that of a folder, which needs no quotes in a shell or an override."""
    return name.replace("=", "-").replace(",", "+")


def _digest(overrides: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(overrides)).encode()).hexdigest()[:6]


def _values_of(overrides: Sequence[str]) -> str:
    return ",".join(override.partition("=")[2] for override in overrides)
