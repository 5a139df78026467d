"""Conditions on runs: `method=byol`, `seed=0..4`, `knn>80`, `optimizer.lr!=0.1,0.2`, `run=*no_stop*`.

| written            | holds where the value …                                                   |
|--------------------|---------------------------------------------------------------------------|
| `key=a,b`          | is one of these; `*` and `?` stand for any characters, null for no value  |
| `key=low..high`    | lies between, both ends included; one of them may be left out             |
| `key!=…`           | is none of these                                                          |
| `key>x`, `>=`, `<`, `<=` | is a number, or a date, above or below                               |

Accuracies are compared in percent, as they are shown: `knn>80`, `knn=80..`; up to 1 they are fractions, `knn>0.8`.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_zoo.catalog.names import Names, is_fraction
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.listed_run import ListedRun, written

__all__ = ["Condition", "is_condition", "read_conditions", "select"]

WRITTEN = re.compile(r"\s*([\w.*-]+?)\s*(!=|>=|<=|==|=|>|<)\s*(.*?)\s*", re.DOTALL)
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
RANGE = re.compile(r"(?=.*\d)[\deE.+%: -]*\.\.[\deE.+%: -]*")
JOINED = re.compile(r"\s+and\s+|\s*&&\s*")
OR = re.compile(r"\s+or\s+|\|\|", re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """A condition, with the full name of what it is about.

    Attributes:
        text: as it was written.
        name: full, of a field, a metric or a key.
        sign: one of = != > >= < <=.
        value: to the right of it.
    """

    text: str
    name: str
    sign: str
    value: str

    def holds(self, value: Any) -> bool:
        """Whether it holds of a value; of a value that is not there only `=null` and `!=…` hold."""
        if self.sign in ORDERS:
            return value is not None and _compare(ORDERS[self.sign], value, self.value, self)
        return any(self._is(value, each) for each in self.value.split(",")) == (self.sign == "=")

    def _is(self, value: Any, wanted: str) -> bool:
        wanted = wanted.strip()
        if value is None:
            return wanted == written(None)
        if isinstance(value, list) and any(self._is(each, wanted) for each in value):  # of several suites one
            return True
        if RANGE.fullmatch(wanted):
            low, _, high = wanted.partition("..")
            return all(
                _compare(ORDERS[sign], value, end, self) for sign, end in ((">=", low), ("<=", high)) if end
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = _number(wanted, self)
            return number is not None and float(value) == number
        text = str(value)[: len(wanted)] if self.name == "date" and "*" not in wanted else written(value)
        wanted = wanted.lower() if isinstance(value, bool) else wanted
        return fnmatch.fnmatchcase(text, wanted) or text == wanted


def is_condition(text: str) -> bool:
    """Whether a text is written as a condition."""
    return WRITTEN.fullmatch(text) is not None


def read_conditions(texts: Iterable[str], names: Names) -> list[Condition]:
    """Reads conditions, each of which may be several joined by `and`.

    Raises:
        UserError: one cannot be read, or no run has what it names.
    """
    conditions = []
    for text in (part for joined in texts for part in JOINED.split(joined)):
        match = WRITTEN.fullmatch(text)
        if match is None or not match[3]:
            raise UserError(
                "conditions are written method=byol, seed=0..4, 'knn>80' or verdict!=healthy, joined by and; received "
                f"'{text}'"
            )
        if any(map(is_condition, OR.split(match[3])[1:])):
            raise UserError(
                f"conditions are joined by and, and there is no or; received '{text}'; name several values with "
                "commas, as in seed=0,1"
            )
        sign = {"==": "="}.get(match[2], match[2])
        condition = Condition(text.strip(), names.find(match[1]), sign, match[3])
        if sign in ORDERS and condition.name != "date" and _number(match[3], condition) is None:
            raise UserError(f"{sign} compares numbers; received '{text}'; write for instance 'knn>80'")
        if names.is_measured(condition.name):
            _check_figures(condition)
        conditions.append(condition)
    return conditions


def select(runs: Sequence[ListedRun], conditions: Sequence[Condition], names: Names) -> list[ListedRun]:
    """Returns the runs of which all conditions hold."""
    return [run for run in runs if all(c.holds(names.value(run, c.name)) for c in conditions)]


def _check_figures(condition: Condition) -> None:
    """Refuses what no figure can be equal to, of which `!=` would hold for every run."""
    for wanted in map(str.strip, condition.value.split(",")):
        if not (wanted in ("null", "*") or RANGE.fullmatch(wanted) or _number(wanted, condition) is not None):
            raise UserError(
                f"'{condition.name}' is a figure; received '{condition.text}'; write a number, 80..90, 'knn>80' or null"
            )


def _compare(order: Callable[[Any, Any], bool], value: Any, wanted: str, condition: Condition) -> bool:
    if condition.name == "date":  # 2026-11-28 is before 2026-11-28 10:00
        return order(str(value)[: len(wanted)], wanted)
    number = _number(wanted, condition)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number is not None and is_number and order(value, number)


def _number(text: str, condition: Condition) -> float | None:
    """Reads a number; of an accuracy in percent, or up to 1 as a fraction."""
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("% "))
    except ValueError:
        return None
    return number / 100 if percent or (is_fraction(condition.name) and number > 1) else number
