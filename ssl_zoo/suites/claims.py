"""Claims of a suite, sentences that a person reads and the program checks, are parsed here.

- `ROW is VERDICT`, `ROW is VERDICT or VERDICT`, `ROW is not VERDICT`
- `METRIC(ROW) > METRIC(ROW)`, and `<`; `... > METRIC(ROW) + 5%` asks for more than 5 points of difference
- `METRIC(ROW) > METRIC(others)`: more than each of the other rows
- `METRIC(ROW) > 0.5`
- `METRIC(ROW) ~ METRIC(ROW) within 0.02`: equal up to a margin; it may be left out for accuracies

`not learning` is a verdict: `X is not learning` says that X has it, and `X is not not learning` that it has not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import get_args

from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.monitors.verdict import VerdictName

__all__ = ["SMALLEST", "Claim", "Comparison", "VerdictClaim", "is_about_accuracy", "parse"]

VERDICTS = get_args(VerdictName)
OTHERS = "others"
MARGIN = 0.02  # of accuracies
SMALLEST = 0.005  # difference of accuracies that matters

NAME = r"[^\s()<>~=]+"
FIGURE = rf"({NAME}) ?\( ?([^()]*?) ?\)"
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? ?%?"
COMPARISON = re.compile(rf"{FIGURE} ?([^\w\s(.+-]+) ?(.+)")
RIGHT = re.compile(rf"(?:{FIGURE}(?: ?([+-] ?{NUMBER}))?|([+-]? ?{NUMBER}))(?: ?within ?({NUMBER}))?")
VERDICT = re.compile(r"(.+?) is (.+)")

FORMS = (
    "a claim is one of: ROW is VERDICT; ROW is not VERDICT; METRIC(ROW) > METRIC(ROW), with < or ~ for >, "
    "and + NUMBER or - NUMBER at the end; METRIC(ROW) > METRIC(others); METRIC(ROW) > NUMBER"
)


@dataclass(frozen=True)
class VerdictClaim:
    """Claim that all seeds of a row have one of these verdicts or, with `negated`, that none has."""

    text: str
    row: str
    verdicts: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class Comparison:
    """A row's figure against that of each of `others`, plus an offset, or against a number."""

    text: str
    metric: str
    is_fraction: bool  # an accuracy, a fraction of 1
    row: str
    sign: str  # >, <, ~
    others: tuple[str, ...]  # empty: a number
    bound: float  # the offset, or that number
    margin: float | None = None  # of ~
    each: bool = False  # written as `others`
    smallest: float | None = None  # difference that matters; None: any


Claim = VerdictClaim | Comparison


def is_about_accuracy(claim: Claim) -> bool:
    """Whether the claim compares accuracies, for which labels are needed."""
    return isinstance(claim, Comparison) and claim.is_fraction


def parse(
    text: str,
    rows: Collection[str],
    metrics: Collection[str] = (),
    smallest: float | Mapping[str, float] = SMALLEST,
) -> Claim:
    """Reads a claim.

    Args:
        text: as in the YAML; runs of whitespace count as one space.
        rows: the names of all rows of the suite.
        metrics: names besides the declared ones: those of protocols, whose figure is a fraction of 1.
        smallest: difference that matters, of all accuracies or by metric; 0.005 of accuracies without one, and any
            difference of other metrics.

    Raises:
        UserError: the claim has none of the forms, or names a row, metric or verdict that there is not.
    """
    sentence = " ".join(text.split())
    try:
        if match := COMPARISON.fullmatch(sentence):
            return _comparison(text, match, rows, metrics, smallest)
        if match := VERDICT.fullmatch(sentence):
            return _verdict(text, match, rows)
        raise UserError(FORMS)
    except UserError as error:
        raise UserError(f"claim '{sentence}' cannot be checked: {error}") from None


def _verdict(text: str, match: re.Match[str], rows: Collection[str]) -> VerdictClaim:
    row, right = match.groups()
    _known("row", row, rows)
    verdicts = right.split(" or ")
    negated = verdicts[0] not in VERDICTS and right.startswith("not ")
    if negated:
        verdicts[0] = verdicts[0].removeprefix("not ")
    for verdict in verdicts:
        _known("verdict", verdict, VERDICTS)
    if negated and len(verdicts) > 1:
        raise UserError(f"'is not' takes one verdict, got {len(verdicts)}; write a claim for each")
    return VerdictClaim(text, row, tuple(verdicts), negated)


def _comparison(
    text: str,
    match: re.Match[str],
    rows: Collection[str],
    metrics: Collection[str],
    smallest: float | Mapping[str, float],
) -> Comparison:
    metric, row, sign, right = match.groups()
    _known("metric", metric, {*declared(SUITE), *metrics})
    if row == OTHERS:
        raise UserError("'others' stands on the right; turn the claim round")
    _known("row", row, rows)
    if sign not in (">", "<", "~"):
        raise UserError(f"the sign is >, < or ~, got '{sign}'")
    if (match_right := RIGHT.fullmatch(right)) is None:
        raise UserError(f"'{right}' is no METRIC(ROW), METRIC(ROW) + NUMBER or NUMBER; {FORMS}")
    metric_right, other, offset, value, within = match_right.groups()
    if metric_right not in (None, metric):
        _known("metric", metric_right, {*declared(SUITE), *metrics})
        raise UserError(f"both sides have the same metric, got {metric} and {metric_right}")
    known = declared(SUITE).get(metric)
    is_fraction = known is None or known.is_fraction
    number = offset or value
    return Comparison(
        text,
        metric,
        is_fraction,
        row,
        sign,
        () if metric_right is None else _others(row, other, rows),
        0.0 if number is None else _number(number, metric, is_fraction),
        _margin(sign, within, metric, is_fraction),
        each=other == OTHERS,
        smallest=_smallest(smallest, metric, is_fraction),
    )


def _smallest(smallest: float | Mapping[str, float], metric: str, is_fraction: bool) -> float | None:
    if not isinstance(smallest, Mapping):
        return smallest if is_fraction else None
    return smallest.get(metric, SMALLEST if is_fraction else None)


def _others(row: str, other: str, rows: Collection[str]) -> tuple[str, ...]:
    if other != OTHERS:
        _known("row", other, rows)
        if other == row:
            raise UserError(f"the two sides are different rows, got {row} twice")
        return (other,)
    if OTHERS in rows:
        raise UserError("'others' means each of the other rows; rename the row of that name")
    others = tuple(name for name in rows if name != row)
    if not others:
        raise UserError(f"'others' needs rows besides {row}, and there is none")
    return others


def _margin(sign: str, within: str | None, metric: str, is_fraction: bool) -> float | None:
    if sign != "~":
        if within is not None:
            raise UserError(f"'within' belongs to ~, got it after {sign}; write + NUMBER or - NUMBER instead")
        return None
    if within is None:
        if not is_fraction:
            raise UserError(f"{metric} is no accuracy, so ~ needs a margin; write 'within NUMBER' at the end")
        return MARGIN
    margin = _number(within, metric, is_fraction)
    if margin == 0:
        raise UserError(f"the margin after 'within' is above 0, got {within}")
    return margin


def _number(text: str, metric: str, is_fraction: bool) -> float:
    """`5%` is 0.05. What could be meant in two ways is refused: 5 of an accuracy, and 5 % of a loss."""
    percent = text.endswith("%")
    value = float(text.rstrip("% ").replace(" ", "")) / (100 if percent else 1)
    if percent and not is_fraction:
        raise UserError(
            f"{metric} is no accuracy, so % has no meaning here, got {text}; write a plain number"
        )
    if is_fraction and not abs(value) < 1 and not (percent and abs(value) == 1):
        raise UserError(f"{metric} is a fraction of 1, got {text}; write 0.05 or 5% for 5 percent")
    if not math.isfinite(value):
        raise UserError(f"a number is finite, got {text}")
    return value


def _known(kind: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise unknown_name(kind, name, names)
