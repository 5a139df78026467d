"""A suite's YAML: found by name or by path, read, and checked as far as it can be without composing its rows.

Suites lie in `benchmarks/suites/`; further ones in a `suite/` folder of a plugin's or of the user's configurations.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssl_zoo.config.groups import group_names, read_yaml
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, suggest, unknown_name
from ssl_zoo.files.paths import user_path
from ssl_zoo.metrics import CSV, SUITE, declared
from ssl_zoo.suites.claims import SMALLEST, Claim, Comparison, parse
from ssl_zoo.suites.listing import suite_files
from ssl_zoo.suites.schema import BudgetConfig, Overrides, RowConfig, SuiteConfig
from ssl_zoo.suites.stages import check_stages

__all__ = ["BUDGETS", "Suite", "as_list", "pair_of", "read_suite"]

BUDGETS = ("quick", "full")
PAIR = "+"  # A+B: both switches on
# Smallest difference of the linear probe that matters where the suite has none, by source and labels a class. With one
# label a class all that is learned on digits spans 50 points, 41 to 91, and not the 14 of ten labels: half a point
# there is nearly two here.
SMALLEST_ON = {("digits", 1): 0.02}


@dataclass(frozen=True)
class Suite:
    """A suite with all its rows and its claims, for any budget."""

    name: str
    file: Path
    config: SuiteConfig
    rows: dict[str, RowConfig]  # those of pairs as well
    claims: tuple[Claim, ...]

    def budget(self, name: str) -> BudgetConfig:
        """Returns what `budget=NAME` adds."""
        return self.config.quick if name == "quick" else self.config.full

    def claims_on(self, config: RunConfig, *, evaluated: bool = False) -> tuple[Claim, ...]:
        """Returns the claims, with the smallest difference that matters for these runs where the suite has none.

        Args:
            config: of one of the runs.
            evaluated: whether protocols evaluate the runs, so that `top1` is not the linear probe's.
        """
        smallest = SMALLEST_ON.get((config.data.source, config.monitor.probe.labels_per_class))
        if smallest is None or self.config.smallest_difference is not None:
            return self.claims
        probe = ("linear_top1",) if evaluated else ("linear_top1", "top1")
        return tuple(
            replace(claim, smallest=smallest)
            if isinstance(claim, Comparison) and claim.metric in probe
            else claim
            for claim in self.claims
        )

    def chosen(self, budget: str, data: str) -> dict[str, RowConfig]:
        """Returns the rows that this budget runs on this data."""
        block = self.budget(budget)
        off = set() if block.switches is None else set(self.config.pairs) - set(block.switches)
        return {
            name: row
            for name, row in self.rows.items()
            if (block.rows is None or name in block.rows)
            and (row.only_data is None or data in row.only_data)
            and not (self.config.pairs and off & set(pair_of(name)))
        }


def read_suite(name: str) -> Suite:
    """Reads a suite.

    Args:
        name: of a suite, or the path of a YAML file.

    Raises:
        UserError: there is no such suite; it cannot be read, a key or a value is wrong, or a row, a column or a claim
            names what is not there.
    """
    file = _find(name)
    block = read_yaml(file, "a suite")
    if isinstance(block.get("rows"), dict):  # a row without overrides may be left empty
        block["rows"] = {row: {} if entry is None else entry for row, entry in block["rows"].items()}
    try:
        config = validate(SuiteConfig, block, "")
        rows = config.rows or _pairs(config)
        _check(config, rows)
        metrics = [*declared(SUITE), *config.evaluate]
        _check_smallest(config, metrics)
        claims = tuple(
            parse(text, rows, metrics, config.smallest_difference or SMALLEST) for text in config.claims
        )
    except UserError as error:
        raise UserError(f"{error} (suite: {file})") from error
    return Suite(file.stem, file, config, rows, claims)


def as_list(overrides: Overrides) -> list[str]:
    """Returns the overrides of a YAML entry, written one after the other or as a list."""
    return shlex.split(overrides) if isinstance(overrides, str) else list(overrides)


def pair_of(name: str) -> tuple[str, ...]:
    """Returns the switches that are on in a row of pairs."""
    return tuple(name.split(PAIR))


def _find(name: str) -> Path:
    files = suite_files()
    if name in files:
        return files[name]
    path = user_path(name, "suite")
    if path.suffix in (".yaml", ".yml"):
        if not os.path.isfile(path):
            raise UserError(
                f"suite takes a name or a YAML file; there is no file '{name}'; see ssl-zoo bench"
            )
        return path
    raise unknown_name("suite", name, sorted(files))


def _pairs(config: SuiteConfig) -> dict[str, RowConfig]:
    """Returns a row for each switch alone and for each pair of them; all others are off."""
    rows = {}
    for on in [*((name,) for name in config.pairs), *itertools.combinations(config.pairs, 2)]:
        overrides = [
            override
            for name, switch in config.pairs.items()
            for override in as_list(switch.on if name in on else switch.off)
        ]
        rows[PAIR.join(on)] = RowConfig(overrides=tuple(overrides))
    return rows


def _check_smallest(config: SuiteConfig, metrics: Sequence[str]) -> None:
    smallest = config.smallest_difference
    if smallest is None:
        return
    for name, value in smallest.items() if isinstance(smallest, Mapping) else [("accuracy", smallest)]:
        known = declared(SUITE).get(name)
        if isinstance(smallest, Mapping) and name not in metrics:
            raise unknown_name("metric", name, metrics)
        if not value > 0:
            raise UserError(f"smallest_difference is above 0; received {value:g}; set for instance 0.005")
        if (known is None or known.is_fraction) and value >= 1:
            raise UserError(
                f"smallest_difference of an accuracy is a fraction of 1; received {value:g}; write 0.01 for one point"
            )


def _check(config: SuiteConfig, rows: dict[str, RowConfig]) -> None:
    if bool(config.rows) == bool(config.pairs):
        raise UserError(
            "a suite has rows, or pairs whose combinations are the rows; received "
            f"{'both' if config.rows else 'neither'}; write one of them"
        )
    for name in rows:
        if not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
            raise UserError(
                f"a row's name is made of letters, digits and _ . + -; received '{name}'; rename it"
            )
    for name in config.pairs:
        if PAIR in name:
            raise UserError(
                f"a switch's name has no {PAIR}, which joins those of a pair; received '{name}'; rename it"
            )
    check_stages(config, rows)
    for budget in (config.quick, config.full):
        for name in budget.rows or ():
            if name not in rows:
                raise unknown_name("row", name, rows)
        for name in budget.switches or ():
            if name not in config.pairs:
                raise unknown_name("switch", name, config.pairs)
    trained = [name for name, metric in declared(SUITE).items() if metric.is_fraction and metric.better]
    if config.tune is not None and config.tune.metric not in trained:
        raise UserError(
            f"tune.metric is an accuracy that training measures, one of {', '.join(trained)}; received "
            f"'{config.tune.metric}'{suggest(config.tune.metric, trained)}"
        )
    known = [*declared(SUITE), *config.evaluate, "verdict"]
    for name in [*config.columns, *(figure.metric for figure in config.figures)]:
        if name not in known:
            raise UserError(
                f"a column is one of {', '.join(known)}; received '{name}'{suggest(name, known)}; the accuracy of a "
                "protocol is there when `evaluate` lists it"
            )
    drawn = [name for name, metric in declared(CSV).items() if metric.chart]
    for name in config.curves:
        if name not in drawn:
            raise unknown_name("curve", name, drawn)
    if any(row.weights == "random" for row in rows.values()) and not config.evaluate:
        raise UserError(
            "weights: random evaluates an encoder before its training; received no evaluate; list a protocol"
        )
    protocols = group_names("protocol")
    for name in config.evaluate:
        if name not in protocols:
            raise unknown_name("protocol", name, protocols)
