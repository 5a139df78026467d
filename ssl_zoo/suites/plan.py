"""Plans a suite's rows from its YAML, a budget and the user's overrides: one trial for each row and seed."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import GROUPS, group_names
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.config.overrides import read_override, write_override
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import RECORDS, RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.suites.multiply import multiplied, without_repetition
from ssl_zoo.suites.read import Suite, as_list
from ssl_zoo.suites.schema import BudgetConfig, RowConfig
from ssl_zoo.suites.stages import check_chosen, hash_of_run, start_override
from ssl_zoo.suites.trial import Trial

__all__ = ["Planner", "Row"]

NOT_A_ROWS = ("data", "seed", "run_dir", "resume", "trainer.threads", "data.limit", "data.holdout")
# A budget's settings where the suite has none. The recipes of digits and of small images are short already.
USUAL = {
    ("quick", "digits"): BudgetConfig(overrides="monitor.every_epochs=4"),
    ("quick", "small"): BudgetConfig(overrides="recipe=small data.limit=10000"),
    ("quick", None): BudgetConfig(
        overrides="data.limit=10000", multiply={"epochs": "1/20", "optimizer.warmup_epochs": "1/20"}
    ),
    ("full", None): BudgetConfig(),
}
SMALL_SOURCES = ("cifar10", "cifar100")


@dataclass(frozen=True)
class Row:
    """A row of a suite, composed."""

    name: str
    row_overrides: tuple[str, ...]  # what sets it apart
    overrides: tuple[str, ...]  # all of them but `start_from`
    config: RunConfig  # its `start_from` is the name of a row
    source: RowConfig
    start_hash: str | None = None  # of a run that the user names as `start_from`

    def trial(
        self, seed: int, evaluations: Sequence[Sequence[str]] = (), start: Trial | None = None
    ) -> Trial:
        """Returns the trial of a seed; `start` is the one that it begins with."""
        config = dataclasses.replace(self.config, seed=seed)
        random = ["weights=random"] if self.source.weights == "random" else []
        listed = tuple((*overrides, *random) for overrides in evaluations)
        overrides = (*self.overrides, f"seed={seed}")
        if {*config.trainer.loggers} & {*RECORDS} and config.trainer.logging.name is None:
            overrides = (*overrides, write_override("trainer.logging.name", f"{self.name} s{seed}"))
        return Trial(self.name, overrides, config, listed, self.source.weights, start, self.start_hash)


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
        self.suite, self.budget = suite, budget
        self.overrides, self.experiments = list(overrides), experiments
        self.threads = [] if threads is None else [f"trainer.threads={threads}"]
        suites = [*as_list(suite.config.base), *as_list(suite.budget(budget).overrides)]
        self.data = _last([*suites, *overrides], "data") or "digits"
        if experiments is not None and not _experiments(experiments):
            families = sorted({name.partition("/")[0] for name in group_names("experiment")})
            raise UserError(
                f"experiments must be one of {', '.join(families)}; received '{experiments}'; leave it out for those "
                "of the data's name"
            )

    @property
    def _usual(self) -> BudgetConfig:
        return USUAL.get((self.budget, self._family)) or USUAL[self.budget, None]

    @property
    def _family(self) -> str:
        return "small" if self._has_small_recipe else self.data

    def _by_data(self, overrides: Mapping[str, str | tuple[str, ...]]) -> list[str]:
        return as_list(overrides.get(self.experiments or self._family, ""))

    @functools.cached_property
    def _has_small_recipe(self) -> bool:
        """Whether `quick` trains by the recipe for small images.

        It does where that is named, and on CIFAR and folders of small images where no experiment or recipe is.
        """
        suite = self.suite
        named = [*as_list(suite.config.base), *as_list(suite.budget(self.budget).overrides), *self.overrides]
        recipe = _last(named, "recipe")
        if self.budget != "quick" or self.experiments is not None or _last(named, "experiment") is not None:
            return False
        if recipe is not None:
            return recipe.partition("/")[0] == "small"
        about_data = [override for override in named if read_override(override)[0].startswith("data.")]
        data = compose([f"data={self.data}", *about_data]).data
        images = SOURCES.get(data.source).load_image_defaults()
        sample = None if images is None else images.sample_of(dataclasses.asdict(data))
        if images is None or sample is None:
            return data.source in SMALL_SOURCES
        sides = sample.sides
        return sides is not None and sides.median <= images.SMALL

    @property
    def base(self) -> list[str]:
        """The overrides that all rows share, without the user's."""
        config, budget = self.suite.config, self.suite.budget(self.budget)
        about_data = self._by_data(config.overrides_by_data)
        blocks = (self._usual.overrides, config.base, tuple(about_data), budget.overrides)
        overrides = [override for block in blocks for override in as_list(block)]
        limit = _last(as_list(self._usual.overrides), "data.limit")
        if limit and not _has_more(_last(self.overrides, "data.train"), int(limit)):
            overrides.remove(f"data.limit={limit}")
        return overrides

    def rows(
        self, more: Mapping[str, Sequence[str]] | None = None, overrides: Sequence[str] = ()
    ) -> list[Row]:
        """Composes all rows that this budget runs.

        Args:
            more: further overrides of single rows, by name.
            overrides: further overrides of all rows.

        Raises:
            UserError: a row's overrides are wrong, with its name.
        """
        rows = []
        check_chosen(chosen := self.suite.chosen(self.budget, self.data))
        for name, row in chosen.items():
            try:
                rows.append(self._row(name, row, [*(more or {}).get(name, ()), *overrides]))
            except UserError as error:
                raise UserError(f"{error} (row '{name}' of {self.suite.file})") from error
        if not rows:
            name = self.suite.name
            raise UserError(f"the suite '{name}' has no row for data={self.data}; choose other data")
        self._check_equal(rows)
        return rows

    def _check_equal(self, rows: Sequence[Row]) -> None:
        """Refuses rows that differ where the suite says that they are equal."""
        settings = {row.name: to_dotted(to_mapping(row.config)) for row in rows}
        blocks = tuple(f"{key}." for key in self.suite.config.equal_keys)
        for key in dict.fromkeys(key for values in settings.values() for key in values):
            if not f"{key}.".startswith(blocks):
                continue
            values = {name: row.get(key) for name, row in settings.items()}
            if len({repr(value) for value in values.values()}) > 1:
                listed = ", ".join(f"{value} in {name}" for name, value in values.items())
                raise UserError(
                    f"all rows of the suite '{self.suite.name}' must agree in {key}; received {listed}; set "
                    f"{key}=VALUE for all"
                )

    def _check(self, row_overrides: Sequence[str]) -> None:
        """Refuses a row that sets what is the suite's, and a user's override of what sets the row apart."""
        keys = [read_override(override)[0] for override in row_overrides]
        for override, key in zip(row_overrides, keys, strict=True):
            if key in NOT_A_ROWS:
                raise UserError(
                    f"{key} is the same for all rows; the row has '{override}'; set it on the command line"
                )
        for override in self.overrides:
            users_key, _ = read_override(override)
            for key in keys:
                is_value = users_key not in GROUPS and key not in GROUPS
                is_within = key.startswith(f"{users_key}.") or users_key.startswith(f"{key}.")
                if key == users_key or (is_value and is_within):
                    raise UserError(
                        f"'{key}' is what sets rows of this suite apart; received '{override}' for all of them; leave "
                        "it out, or write a suite of your own"
                    )

    def _row(self, name: str, row: RowConfig, more: Sequence[str]) -> Row:
        distinct = without_repetition([*as_list(row.overrides), *self._by_data(row.overrides_by_data)])
        self._check(distinct)
        start = [f"data={self.data}", *self._experiment([*self.base, *distinct, *self.overrides])]
        start += self._logging([*self.base, *distinct, *self.overrides])
        set_by_hand = {read_override(override)[0] for override in [*self.overrides, *more]}
        shortened = list[str]()
        for block in (self._usual, self.suite.budget(self.budget)):
            factors = {key: factor for key, factor in block.multiply.items() if key not in set_by_hand}
            # The user's overrides take part: another method has other lengths.
            shortened += multiplied(
                [*start, *self.base, *distinct, *shortened, *self.overrides], factors, rounded=True
            )
        overrides = [*start, *self.base, *distinct, *shortened, *self.overrides]
        scaled = multiplied(overrides, row.multiply)
        overrides = without_repetition([*overrides, *scaled, *more, *self.threads])
        stage = start_override(row, overrides)
        config = compose([*overrides, *stage])
        named = None if stage or config.start_from is None else hash_of_run(config.start_from)
        return Row(name, (*distinct, *scaled, *stage, *more), tuple(overrides), config, row, named)

    def _logging(self, overrides: Sequence[str]) -> list[str]:
        """Returns how wandb, mlflow and trackio group the runs, which the suite reports on itself."""
        named = (_last(overrides, "trainer.loggers") or "").lower()
        if not any(name in named for name in RECORDS):
            return []
        return [write_override("trainer.logging.group", self.suite.name), "trainer.logging.report=false"]

    def _experiment(self, overrides: Sequence[str]) -> list[str]:
        """Returns `experiment=` of the row's method, where the data has one and no override names another."""
        method, family = _last(overrides, "method") or "simsiam", self.experiments or self.data
        chosen = _last(overrides, "experiment") is not None or self._has_small_recipe
        if not chosen and f"{family}/{method}" in _experiments(family):
            # ImageNet's are the methods' defaults, but for lengths that differ between papers.
            return [] if family == "imagenet" else [f"experiment={family}/{method}"]
        return []


def _has_more(folder: str | None, files: int) -> bool:
    """Whether a folder holds more than so many files; where none is named, it is taken to."""
    if folder is None or not Path(folder).expanduser().is_dir():
        return True
    there = (path for path in Path(folder).expanduser().rglob("*") if path.is_file())
    return sum(1 for _ in itertools.islice(there, files + 1)) > files


def _experiments(family: str) -> list[str]:
    return [name for name in group_names("experiment") if name.startswith(f"{family}/")]


def _last(overrides: Sequence[str], key: str) -> str | None:
    """Returns the value of the last override with this key."""
    values = [str(value) for name, value in map(read_override, overrides) if name == key]
    return values[-1] if values else None
