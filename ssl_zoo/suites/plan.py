"""From a suite, a budget and the user's words to the runs: one job for each row and seed."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ssl_zoo.config import GROUPS, compose, config_hash, group_names, read_word, to_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.schema import RunConfig
from ssl_zoo.suites.read import Suite, as_words
from ssl_zoo.suites.schema import BudgetConfig, RowConfig

__all__ = ["Job", "Planner", "Row", "multiplied"]

# What a budget means where a suite says nothing else. digits: its recipes are short as they are.
USUAL = {
    ("quick", "digits"): BudgetConfig(words="monitor.every=4"),
    ("quick", None): BudgetConfig(words="data.limit=10000", times={"epochs": "1/20"}),
    ("full", None): BudgetConfig(),
}


@dataclass(frozen=True)
class Job:
    """A run: what is trained, and what is then evaluated."""

    row: str
    words: tuple[str, ...]  # complete; `ssl-zoo train` takes them as they are
    config: RunConfig
    evaluations: tuple[tuple[str, ...], ...] = ()  # words of `ssl-zoo eval`, one tuple for each protocol
    weights: str = "last"

    @property
    def hash(self) -> str:
        """Two jobs that share it train the same thing."""
        return config_hash(self.config)

    @property
    def name(self) -> str:
        """Of its folder."""
        config = self.config
        return f"{config.data.name}-{config.method.name}-s{config.seed}-{self.hash}"

    @property
    def command(self) -> str:
        """What a person types to have the same run."""
        return shlex.join(["ssl-zoo", "train", *self.words])


@dataclass(frozen=True)
class Row:
    """A row's words, composed."""

    name: str
    own: tuple[str, ...]  # what sets it apart
    words: tuple[str, ...]  # all of them
    config: RunConfig
    source: RowConfig

    def job(self, seed: int, evaluations: Sequence[Sequence[str]] = ()) -> Job:
        """The run of a seed."""
        config = dataclasses.replace(self.config, seed=seed)
        random = ["weights=random"] if self.source.weights == "random" else []
        listed = tuple((*words, *random) for words in evaluations)
        return Job(self.name, (*self.words, f"seed={seed}"), config, listed, self.source.weights)


class Planner:
    """Composes the rows of a suite.

    Args:
        suite: the suite.
        budget: quick or full.
        words: the user's, for all rows; they come after the suite's.
        experiments: the folder of experiments whose settings rows start from; None: that of the data's name.
        threads: CPU threads of each run; None: left open.
    """

    def __init__(
        self, suite: Suite, budget: str, words: Sequence[str], experiments: str | None, threads: int | None
    ) -> None:
        self.suite, self.budget, self.words, self.experiments = suite, budget, list(words), experiments
        self.threads = [] if threads is None else [f"trainer.threads={threads}"]
        own = [*as_words(suite.config.base), *as_words(suite.budget(budget).words)]
        self.data = _last([*own, *words], "data") or "digits"
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
        family = config.on.get(self.experiments or self.data, "")
        blocks = (self._usual.words, config.base, family, self.suite.budget(self.budget).words)
        return [word for block in blocks for word in as_words(block)]

    def rows(self, more: Mapping[str, Sequence[str]] | None = None, words: Sequence[str] = ()) -> list[Row]:
        """Composes all rows that this budget runs on this data.

        Args:
            more: further words of single rows, by name.
            words: further words of all rows.

        Raises:
            UserError: a row's words are wrong, with its name.
        """
        found = []
        for name, row in self.suite.chosen(self.budget, self.data).items():
            try:
                found.append(self._row(name, row, [*(more or {}).get(name, ()), *words]))
            except UserError as error:
                raise UserError(f"{error} (row '{name}' of {self.suite.file})") from error
        if not found:
            raise UserError(
                f"the suite '{self.suite.name}' has no row for data={self.data}; choose other data"
            )
        return found

    def _row(self, name: str, row: RowConfig, more: Sequence[str]) -> Row:
        own = as_words(row.words)
        start = [f"data={self.data}", *self._experiment([*self.base, *own, *self.words])]
        set_by_hand = {read_word(word)[0] for word in [*self.words, *more]}
        shortened = list[str]()
        for block in (self._usual, self.suite.budget(self.budget)):
            times = {key: factor for key, factor in block.times.items() if key not in set_by_hand}
            # The user's words take part: another method has other lengths.
            shortened += multiplied([*start, *self.base, *own, *shortened, *self.words], times)
        words = [*start, *self.base, *own, *shortened, *self.words]
        scaled = multiplied(words, row.times)
        words = _without_repetition([*words, *scaled, *more, *self.threads])
        config = compose(words)
        return Row(name, (*own, *scaled, *more), tuple(words), config, row)

    def _experiment(self, words: Sequence[str]) -> list[str]:
        """`experiment=` of the row's method, where the data has one and nothing else is said."""
        method, family = _last(words, "method") or "simsiam", self.experiments or self.data
        if _last(words, "experiment") is None and f"{family}/{method}" in _experiments(family):
            # ImageNet's say no more than the methods' own defaults, but for lengths that differ between papers.
            return [] if family == "imagenet" else [f"experiment={family}/{method}"]
        return []


def _experiments(family: str) -> list[str]:
    return [name for name in group_names("experiment") if name.startswith(f"{family}/")]


def _last(words: Sequence[str], key: str) -> str | None:
    """The value of the last word with this key."""
    values = [str(value) for name, value in map(read_word, words) if name == key]
    return values[-1] if values else None


def _without_repetition(words: Sequence[str]) -> list[str]:
    """Of words with one key the last, where it stands first: what `compose` makes of them."""
    keys = [read_word(word)[0] for word in words]
    last = dict(zip(keys, words, strict=True))
    settings = [key for key in keys if key not in GROUPS]
    blocks = [key for key in settings if any(other.startswith(f"{key}.") for other in settings)]
    if blocks:  # augment.views={...} before augment.views.two.size=8: the order counts
        return list(words)
    return [last[key] for key in dict.fromkeys(keys)]


def multiplied(words: Sequence[str], times: Mapping[str, Any]) -> list[str]:
    """Words that set keys to a multiple of what `words` compose to."""
    if not times:
        return []
    values = to_mapping(compose(words))
    return [f"{key}={_product(values, key, factor)}" for key, factor in times.items()]


def _product(values: Any, key: str, factor: float | str) -> float | int:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    if isinstance(values, bool) or not isinstance(values, (int, float)):
        raise UserError(f"times multiplies numbers; '{key}' is {values!r}; set it among the words")
    try:
        exact = Fraction(str(factor))
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"times takes a number or a fraction, for instance 1/8; received '{factor}' for {key}"
        ) from None
    product = Fraction(str(values)) * exact
    if isinstance(values, float):
        return float(product)
    if product.denominator != 1 or product < 1:
        raise UserError(
            f"{key} must stay a whole number of 1 or more; {values} times {factor} is {float(product):g}; set "
            f"another {key}"
        )
    return int(product)
