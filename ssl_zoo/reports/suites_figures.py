"""The figures of a comparison of suites: tables, and a picture of the differences in top-1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from matplotlib.figure import Figure

from ssl_zoo.pages.charts import Interval, intervals
from ssl_zoo.pages.drawing import Paint, Picture, Theme, chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number
from ssl_zoo.pages.page import Cell, Table
from ssl_zoo.suites.aggregate import Mean, heading, is_share
from ssl_zoo.suites.compare import EQUAL, Move, Side, is_accuracy
from ssl_zoo.suites.diff import NONE, Opened

__all__ = ["metrics_of", "picture_of", "table_by_metric", "table_of"]


def picture_of(suites: Sequence[Opened], moves: Sequence[Move]) -> Picture | None:
    """Differences of top1, one line each; hollow where none was found."""
    known = [move for move in moves if move.metric == "top1" and (move.p is not None or move.state in EQUAL)]
    if not known:
        return None
    several = len(suites) > 2
    names = [f"{move.row} ({move.after.suite})" if several else move.row for move in known]
    rows = [
        Interval(
            label, 100 * (move.difference or 0), 100 * (move.low or 0), 100 * (move.high or 0), not move.moved
        )
        for label, move in zip(drawable(names, "row"), known, strict=True)
    ]
    told = "; ".join(
        f"{name} {_difference(move)}{_interval(move, ' (', ')')}"
        for name, move in zip(names, known, strict=True)
    )
    left_out = sum(move.metric == "top1" for move in moves) - len(known)
    caption = "Hollow: no difference found, or the same values."
    if left_out:
        caption += f" Left out for too few seeds: {left_out}."
    return chart(
        "differences",
        _with_zero(intervals("Difference in top-1, points", rows)),
        alt=f"Difference in top-1 in points of percent with 95 % intervals: {told}.",
        caption=caption,
        size=(5.2, 0.9 + 0.22 * len(rows)),
    )


def _with_zero(paint: Paint) -> Paint:
    def painted(figure: Figure, theme: Theme) -> None:
        paint(figure, theme)
        figure.axes[0].axvline(0, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1, zorder=0)

    return painted


def metrics_of(moves: Sequence[Move]) -> list[str]:
    """The figures that are compared."""
    return list(dict.fromkeys(move.metric for move in moves))


def table_by_metric(moves: Sequence[Move]) -> Table:
    """How many comparisons of each figure came to which end."""
    states = list(dict.fromkeys(move.state for move in sorted(moves, key=lambda move: not move.moved)))
    rows = []
    for metric in metrics_of(moves):
        own = [move for move in moves if move.metric == metric]
        counts = Counter(move.state for move in own)
        corrected = str(sum(move.moved_corrected for move in own)) if is_accuracy(metric) else NONE
        rows.append((heading(metric), str(len(own)), corrected, *(str(counts[one]) for one in states)))
    header = ("figure", "compared", "moved, Holm-corrected", *states)
    return Table(header, rows, "Comparisons by figure and outcome, by the uncorrected interval unless said.")


def table_of(metric: str, moves: Sequence[Move]) -> Table:
    """All comparisons of a figure."""
    own = [move for move in moves if move.metric == metric]
    pairs = list(dict.fromkeys((move.before.suite, move.after.suite) for move in own))
    tested = is_accuracy(metric)
    suites = pairs[0] if len(pairs) == 1 else ("suites", "before", "after")
    header = ("row", "what moved", *suites, "difference", "95 % interval", *(("p", "p by Holm") * tested))
    rows = []
    for move in own:
        pair = () if len(pairs) == 1 else (Cell(f"{move.before.suite} → {move.after.suite}", left=True),)
        p = (Cell(number(one, 2), one) for one in (move.p, move.corrected)) if tested else ()
        sides = (_side(side, metric) for side in (move.before, move.after))
        difference = Cell(_difference(move), move.difference), Cell(_interval(move) or NONE, move.low)
        rows.append((move.row, _state(move), *pair, *sides, *difference, *p))
    caption = f"{heading(metric)}: mean ± standard deviation (seeds)"
    caption += "; the difference and its interval are in points of percent." if is_share(metric) else "."
    if any(move.moved_corrected for move in own):
        caption += " *: also after Holm's correction."
    return Table(header, rows, caption, sortable=True)


def _state(move: Move) -> Cell:
    return Cell(f"{move.state}*" if move.moved_corrected else move.state, move.state, left=True)


def _side(side: Side, metric: str) -> Cell:
    seeds = f" ({len(side.values)})" if side.values else ""
    return Cell(f"{Mean(metric, tuple(side.values.values()))}{seeds}", side.mean)


def _difference(move: Move) -> str:
    return NONE if move.difference is None else _signed(move.difference, is_share(move.metric))


def _interval(move: Move, left: str = "", right: str = "") -> str:
    if move.low is None or move.high is None:
        return ""
    share = is_share(move.metric)
    return f"{left}{_signed(move.low, share)} to {_signed(move.high, share)}{right}"


def _signed(value: float, share: bool) -> str:
    text = f"{100 * value:.2f}".replace("-", "−") if share else number(value)
    return f"+{text}" if value > 0 else text
