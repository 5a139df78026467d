"""From a suite, a budget and the user's words to the runs: one trial for each row and seed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import GROUPS, group_names
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.overrides import read_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import UserError, shown
from ssl_zoo.suites.read import Suite, as_words
from ssl_zoo.suites.schema import BudgetConfig, RowConfig
from ssl_zoo.suites.trial import Trial

__all__ = ["Planner", "Row", "multiplied"]

NOT_A_ROWS = ("data", "seed", "run_dir", "resume", "trainer.threads", "data.limit", "data.holdout")
# What a budget means where a suite says nothing else. digits: its recipes are short as they are.
USUAL = {
    ("quick", "digits"): BudgetConfig(overrides="monitor.every_epochs=4"),
    ("quick", None): BudgetConfig(
        overrides="data.limit=10000", multiply={"epochs": "1/20", "optimizer.warmup_epochs": "1/20"}
    ),
    ("full", None): BudgetConfig(),
}


@dataclass(frozen=True)
class Row:
    """A row's words, composed."""

    name: str
    own: tuple[str, ...]  # what sets it apart
    overrides: tuple[str, ...]  # all of them
    config: RunConfig
    source: RowConfig

    def trial(self, seed: int, evaluations: Sequence[Sequence[str]] = ()) -> Trial:
        """Returns the trial of a seed."""
        config = dataclasses.replace(self.config, seed=seed)
        random = ["weights=random"] if self.source.weights == "random" else []
        listed = tuple((*overrides, *random) for overrides in evaluations)
        return Trial(self.name, (*self.overrides, f"seed={seed}"), config, listed, self.source.weights)


class Planner:
    """Composes the rows of a suite.

    Args:
        suite: the suite.
        budget: quick or full.
        overrides: the user's, for all rows; they come after the suite's.
        experiments: the folder of experiments whose settings rows start from; None: that of the data's name.
        threads: CPU threads of each run; None: left open.
    """

    def __init__(
        self,
        suite: Suite,
        budget: str,
        overrides: Sequence[str],
        experiments: str | None,
        threads: int | None,
    ) -> None:
        self.suite, self.budget, self.overrides, self.experiments = (
            suite,
            budget,
            list(overrides),
            experiments,
        )
        self.threads = [] if threads is None else [f"trainer.threads={threads}"]
        own = [*as_words(suite.config.base), *as_words(suite.budget(budget).overrides)]
        self.data = _last([*own, *overrides], "data") or "digits"
        if experiments is not None and not _experiments(experiments):
            there = sorted({name.partition("/")[0] for name in group_names("experiment")})
            raise UserError(
                f"experiments must be one of {', '.join(there)}; received '{experiments}'; leave it out for those "
                "of the data's name"
            )

    @property
    def _usual(self) -> BudgetConfig:
        return USUAL.get((self.budget, self.data)) or USUAL[self.budget, None]

    @property
    def base(self) -> list[str]:
        """The words that all rows share, but for the user's."""
        config = self.suite.config
        family = config.overrides_by_data.get(self.experiments or self.data, "")
        blocks = (self._usual.overrides, config.base, family, self.suite.budget(self.budget).overrides)
        overrides = [override for block in blocks for override in as_words(block)]
        limit = _last(self._usual_words, "data.limit")
        if limit is not None and not _has_more(_last(self.overrides, "data.train"), int(limit)):
            overrides.remove(f"data.limit={limit}")
        return overrides

    @property
    def _usual_words(self) -> list[str]:
        return as_words(self._usual.overrides)

    def rows(
        self, more: Mapping[str, Sequence[str]] | None = None, overrides: Sequence[str] = ()
    ) -> list[Row]:
        """Composes all rows that this budget runs on this data.

        Args:
            more: further overrides of single rows, by name.
            overrides: further overrides of all rows.

        Raises:
            UserError: a row's words are wrong, with its name.
        """
        found = []
        for name, row in self.suite.chosen(self.budget, self.data).items():
            try:
                found.append(self._row(name, row, [*(more or {}).get(name, ()), *overrides]))
            except UserError as error:
                raise UserError(f"{error} (row '{name}' of {self.suite.file})") from error
        if not found:
            raise UserError(
                f"the suite '{self.suite.name}' has no row for data={self.data}; choose other data"
            )
        self._check_equal(found)
        return found

    def _check_equal(self, rows: Sequence[Row]) -> None:
        """Refuses rows that differ where the suite says that they are equal."""
        settings = {row.name: dict(_leaves(to_mapping(row.config))) for row in rows}
        keys = dict.fromkeys(key for one in settings.values() for key in one)
        for key in (key for key in keys if _is_within(key, self.suite.config.equal_keys)):
            values = {name: one.get(key) for name, one in settings.items()}
            if len({repr(value) for value in values.values()}) > 1:
                told = ", ".join(f"{value} in {name}" for name, value in values.items())
                raise UserError(
                    f"all rows of the suite '{self.suite.name}' must agree in {key}; received {told}; set "
                    f"{key}=VALUE for all"
                )

    def _check(self, own: Sequence[str]) -> None:
        """Refuses a row that sets what is the suite's, and a user's word that undoes what makes the row."""
        keys = [read_override(override)[0] for override in own]
        for override, key in zip(own, keys, strict=True):
            if key in NOT_A_ROWS:
                raise UserError(
                    f"{key} is the same for all rows; the row has '{override}'; say it on the command line"
                )
        for override in self.overrides:
            said, _ = read_override(override)
            for key in keys:
                inner = said not in GROUPS and key not in GROUPS
                if key == said or (inner and (key.startswith(f"{said}.") or said.startswith(f"{key}."))):
                    raise UserError(
                        f"'{key}' is what sets rows of this suite apart; received '{override}' for all of them; leave "
                        "it out, or write a suite of your own"
                    )

    def _row(self, name: str, row: RowConfig, more: Sequence[str]) -> Row:
        own = as_words(row.overrides)
        self._check(own)
        start = [f"data={self.data}", *self._experiment([*self.base, *own, *self.overrides])]
        set_by_hand = {read_override(override)[0] for override in [*self.overrides, *more]}
        shortened = list[str]()
        for block in (self._usual, self.suite.budget(self.budget)):
            times = {key: factor for key, factor in block.multiply.items() if key not in set_by_hand}
            # The user's words take part: another method has other lengths.
            shortened += multiplied(
                [*start, *self.base, *own, *shortened, *self.overrides], times, rounded=True
            )
        overrides = [*start, *self.base, *own, *shortened, *self.overrides]
        scaled = multiplied(overrides, row.multiply)
        overrides = _without_repetition([*overrides, *scaled, *more, *self.threads])
        config = compose(overrides)
        return Row(name, (*own, *scaled, *more), tuple(overrides), config, row)

    def _experiment(self, overrides: Sequence[str]) -> list[str]:
        """`experiment=` of the row's method, where the data has one and nothing else is said."""
        method, family = _last(overrides, "method") or "simsiam", self.experiments or self.data
        if _last(overrides, "experiment") is None and f"{family}/{method}" in _experiments(family):
            # ImageNet's say no more than the methods' own defaults, but for lengths that differ between papers.
            return [] if family == "imagenet" else [f"experiment={family}/{method}"]
        return []


def _has_more(folder: str | None, files: int) -> bool:
    """Whether a folder holds more than so many files; where none is named, it is taken to."""
    if folder is None or not Path(folder).expanduser().is_dir():
        return True
    found = (place for place in Path(folder).expanduser().rglob("*") if place.is_file())
    return sum(1 for _ in itertools.islice(found, files + 1)) > files


def _experiments(family: str) -> list[str]:
    return [name for name in group_names("experiment") if name.startswith(f"{family}/")]


def _last(overrides: Sequence[str], key: str) -> str | None:
    """The value of the last word with this key."""
    values = [str(value) for name, value in map(read_override, overrides) if name == key]
    return values[-1] if values else None


def _without_repetition(overrides: Sequence[str]) -> list[str]:
    """Of words with one key the last, where it stands first: what `compose` makes of them."""
    keys = [read_override(override)[0] for override in overrides]
    last = dict(zip(keys, overrides, strict=True))
    settings = [key for key in keys if key not in GROUPS]
    blocks = [key for key in settings if any(other.startswith(f"{key}.") for other in settings)]
    if blocks:  # augment.views={...} before augment.views.two.size=8: the order counts
        return list(overrides)
    return [last[key] for key in dict.fromkeys(keys)]


def multiplied(overrides: Sequence[str], times: Mapping[str, Any], *, rounded: bool = False) -> list[str]:
    """Words that set keys to a multiple of what `words` compose to; whole numbers stay whole, or are `rounded`."""
    if not times:
        return []
    values = to_mapping(compose(overrides))
    return [f"{key}={_product(values, key, factor, rounded)}" for key, factor in times.items()]


def _leaves(values: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_within(key: str, blocks: Sequence[str]) -> bool:
    return any(key == block or key.startswith(f"{block}.") for block in blocks)


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _product(values: Any, key: str, factor: float | str, rounded: bool) -> float | int:
    values = _at(values, key)
    if isinstance(values, bool) or not isinstance(values, (int, float)):
        raise UserError(
            f"multiply takes keys with numbers; '{key}' is {shown(values)}; set it among the overrides"
        )
    try:
        exact = Fraction(str(factor))
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"multiply takes a number or a fraction, for instance 1/8; received '{factor}' for {key}"
        ) from None
    product = Fraction(str(values)) * exact
    if isinstance(values, float):
        return float(product)
    if rounded:
        return max(1, round(product))
    if product.denominator != 1 or product < 1:
        raise UserError(
            f"{key} must stay a whole number of 1 or more; {values} times {factor} is {float(product):g}; set "
            f"another {key}"
        )
    return int(product)
