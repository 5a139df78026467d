"""What a suite's YAML may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema import Count, section

__all__ = ["BudgetConfig", "MapConfig", "RowConfig", "SuiteConfig", "SwitchConfig", "TuneConfig"]

Text = Annotated[str, Field(min_length=1)]
Words = str | tuple[str, ...]  # overrides, one after the other or as a list
Factor = float | str  # a number, or a fraction such as 1/8


@section
class RowConfig:
    """A row: what sets it apart from the suite's base."""

    overrides: Words = ""
    multiply: dict[str, Factor] = Field(default_factory=dict)  # keys whose value is multiplied
    only_data: tuple[str, ...] | None = None  # data that the row is for; null: any
    weights: Literal["last", "random"] = "last"  # random: the encoder before its training is evaluated
    paper: float | None = None  # the paper's figure, verified; in percent where it is an accuracy
    note: str = ""


@section
class BudgetConfig:
    """What `budget=NAME` adds."""

    overrides: Words = ""
    multiply: dict[str, Factor] = Field(default_factory=dict)
    rows: tuple[str, ...] | None = None  # only these
    switches: tuple[str, ...] | None = None  # of `pairs` only these


@section
class SwitchConfig:
    """One of the parts whose pairs are the rows."""

    on: Words = ""
    off: Words = ""


@section
class MapConfig:
    """A picture besides the learning curves."""

    kind: Literal["heat_map", "lines"]
    metric: str = "top1"
    # lines: one line for each group of rows named GROUP_X, at the numbers X
    x: str = ""


@section
class TuneConfig:
    """A setting that is chosen for each row by itself, on a held-out part of the training data."""

    key: Text
    multipliers: Annotated[
        tuple[Factor, ...], Field(min_length=2)
    ]  # candidates, as multiples of the recipe's value
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.2
    metric: str = "top1"
    seeds: Count = 1  # runs per candidate


@section
class SuiteConfig:
    """A table or a figure of a paper."""

    title: Text
    paper: Text
    source: Text  # address
    section: Text  # Table 1
    question: Text  # the question, in a sentence
    paper_setting: str = ""  # what the rows' `paper` figures are: data, model, epochs, metric
    base: Words = ""
    overrides_by_data: dict[str, Words] = Field(
        default_factory=dict
    )  # by data: further overrides of the base
    rows: dict[str, RowConfig] = Field(default_factory=dict)
    pairs: dict[str, SwitchConfig] = Field(default_factory=dict)  # rows are each of them alone and all pairs
    quick: BudgetConfig = BudgetConfig()
    full: BudgetConfig = BudgetConfig()
    evaluate: tuple[str, ...] = ()  # protocols, as `ssl-zoo eval protocol=NAME`
    columns: tuple[str, ...] = ("top1", "knn", "verdict", "std_ratio", "effective_rank", "loss", "seconds")
    figures: tuple[MapConfig, ...] = ()
    claims: tuple[str, ...] = ()
    tune: TuneConfig | None = None
    equal_keys: tuple[str, ...] = ()  # keys or blocks in which all rows must agree
    remarks: tuple[str, ...] = ()  # where the suite departs from the paper
