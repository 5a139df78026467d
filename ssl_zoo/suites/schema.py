"""The typed configuration of a suite: what its YAML may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema import Count, section

__all__ = [
    "PANELS",
    "BudgetConfig",
    "MapConfig",
    "Overrides",
    "RowConfig",
    "SuiteConfig",
    "SwitchConfig",
    "TuneConfig",
]

PANELS = ("loss", "output_std_ratio", "knn_top1")  # those of SimSiam's Figure 2

Text = Annotated[str, Field(min_length=1)]
Overrides = str | tuple[str, ...]  # separated by spaces, or as a list
Factor = float | str  # a number, or a fraction such as 1/8


@section
class RowConfig:
    """A row: the differences from the suite's base."""

    overrides: Overrides = ""
    """Overrides of this row, over those of the base."""
    overrides_by_data: dict[str, Overrides] = Field(default_factory=dict)
    """Further overrides of this row, by the name of the data; `small` is small images under budget=quick."""
    multiply: dict[str, Factor] = Field(default_factory=dict)
    """Keys whose value is multiplied, after all overrides, each with its factor: a number or a fraction such as 1/8."""
    only_data: tuple[str, ...] | None = None
    """Names of the data that the row is for. null: any."""
    weights: Literal["trained", "random"] = "trained"
    """Which encoder is evaluated. random: the encoder before its training."""
    start_from: Text | None = None
    """Another row, whose trained weights of the same seed this row begins with. null: weights of its own seed."""
    paper: float | None = None
    """The paper's figure, verified; in percent where it is an accuracy."""
    note: str = ""
    """A remark, shown below the table."""


@section
class BudgetConfig:
    """Changes by `budget=NAME`."""

    overrides: Overrides = ""
    """Overrides of all rows, below those of the base."""
    multiply: dict[str, Factor] = Field(default_factory=dict)
    """Keys whose value is multiplied in all rows, each with its factor."""
    rows: tuple[str, ...] | None = None
    """Names of the rows that are run. null: all."""
    switches: tuple[str, ...] | None = None
    """Names of the switches of `pairs` that are used. null: all."""


@section
class SwitchConfig:
    """A part that is on or off; the pairs of such parts are the rows."""

    on: Overrides = ""
    """Overrides of the rows that have the part."""
    off: Overrides = ""
    """Overrides of the rows that do not."""


@section
class MapConfig:
    """A figure besides the learning curves."""

    kind: Literal["heat_map", "lines"]
    """heat_map: the pairs as a matrix; lines: one line for each group of rows named GROUP_X, at the numbers X."""
    metric: str = "top1"
    """The metric that is drawn."""
    x: str = ""
    """Title of the horizontal axis of lines."""


@section
class TuneConfig:
    """A key that is tuned for each row, on a held-out part of the training data."""

    key: Text
    """The key."""
    multipliers: Annotated[tuple[Factor, ...], Field(min_length=2)]
    """Candidates, as multiples of the recipe's value."""
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of the training images that candidates are compared on."""
    metric: str = "top1"
    """The metric by which the best candidate is chosen."""
    seeds: Count = 1
    """Runs per candidate."""


@section
class SuiteConfig:
    """A table or a figure of a paper."""

    title: Text
    """Title of the suite's page."""
    paper: Text
    """The paper, by its short name."""
    source: Text
    """Address of the paper."""
    section: Text
    """Where in the paper: Table 1."""
    question: Text
    """The question that the suite answers, in a sentence."""
    paper_setting: str = ""
    """Setting of the rows' `paper` figures: data, model, epochs, metric."""
    base: Overrides = ""
    """Overrides of all rows."""
    overrides_by_data: dict[str, Overrides] = Field(default_factory=dict)
    """Further overrides of all rows, by the name of the data; `small` is small images under budget=quick."""
    rows: dict[str, RowConfig] = Field(default_factory=dict)
    """The rows, by name."""
    pairs: dict[str, SwitchConfig] = Field(default_factory=dict)
    """Switches by name, in place of `rows`: the rows are each switch alone and all pairs of them."""
    quick: BudgetConfig = BudgetConfig()
    full: BudgetConfig = BudgetConfig()
    evaluate: tuple[str, ...] = ()
    """Protocols by which each run is evaluated, as `ssl-zoo eval protocol=NAME`."""
    columns: tuple[str, ...] = (
        "top1",
        "knn_top1",
        "verdict",
        "output_std_ratio",
        "effective_rank",
        "loss",
        "seconds",
    )
    """Metrics that are the table's columns."""
    curves: tuple[str, ...] = PANELS
    """Metrics of `metrics.csv` that are drawn over the epochs, side by side in one picture."""
    figures: tuple[MapConfig, ...] = ()
    """Further figures."""
    claims: tuple[str, ...] = ()
    """The paper's claims, judged over seeds; docs/suites.md has their grammar."""
    smallest_difference: float | dict[str, float] | None = None
    """Smallest difference that matters: of all accuracies, as a fraction of 1, or by metric. Less is no difference.
    null: 0.005; 0.02 of the digits' accuracy with one label a class."""
    tune: TuneConfig | None = None
    equal_keys: tuple[str, ...] = ()
    """Keys or blocks in which all rows must agree."""
    remarks: tuple[str, ...] = ()
    """Where the suite departs from the paper."""
