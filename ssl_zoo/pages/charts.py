"""Charts, each a function that draws numbers on a figure; none knows of runs or pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from ssl_zoo.pages.drawing import Paint, Theme
from ssl_zoo.pages.legend import LINES, add_legend, legend_height, short

__all__ = [
    "IntervalRow",
    "Series",
    "colour",
    "curves",
    "curves_size",
    "draw_baselines",
    "draw_lines",
    "in_legend",
    "intervals",
    "points",
]

DASHES = ("-", "--", "-.", ":")
LONGEST = 34  # letters of a run's name
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        label: in the legend; empty: not there.
        x, y: its points.
        role: "trained", "random" or "third" of a theme, or the number of a colour.
        band: the least and the most at each x, drawn as a shade.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    role: str | int = "trained"
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True)
class IntervalRow:
    """A score with its interval; `faded` is drawn in grey."""

    label: str
    value: float
    low: float
    high: float
    faded: bool = False


def curves(
    title: str,
    series: Sequence[Series],
    *,
    x: str = "epoch",
    baselines: Sequence[tuple[str, float]] = (),
    percent: bool = False,
    log_y: bool = False,
    bottom: float | None = None,
) -> Paint:
    """Draws lines over a common axis, with baselines as dashed lines."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        handles = draw_lines(
            axes, theme, title, series, baselines, percent=percent, bottom=bottom, log_y=log_y
        )
        axes.set_xlabel(x)
        if len(in_legend(series)) > 1:
            add_legend(figure, handles, in_legend(series), LINES)

    return paint


def draw_lines(
    axes: Axes,
    theme: Theme,
    title: str,
    series: Sequence[Series],
    baselines: Sequence[tuple[str, float]] = (),
    *,
    percent: bool = False,
    log_y: bool = False,
    bottom: float | None = None,
) -> list[Line2D]:
    """Draws `curves` on axes; returns the lines of those series that have a label."""
    handles: list[Line2D] = []
    for number, line in enumerate(series):
        dash = DASHES[line.role // 10 % 4] if isinstance(line.role, int) else DASHES[number % 4]
        mark = "o" if len(line.x) < 60 and not log_y else ""
        ink = colour(line.role, theme)
        drawn = axes.plot(line.x, line.y, dash, color=ink, marker=mark, markersize=2)
        if line.band is not None:
            shade = 0.2 if len(series) < 5 else 0.1
            axes.fill_between(line.x, *line.band, color=ink, alpha=shade, linewidth=0)
        handles += drawn if line.label else []
    draw_baselines(axes, theme, baselines)
    axes.set_title(title)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if log_y:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())  # half the time of drawing
        axes.yaxis.set_major_formatter(FuncFormatter(_power))  # matplotlib's own is mathtext
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    if bottom is not None:
        axes.set_ylim(bottom=bottom)
    return handles


def draw_baselines(axes: Axes, theme: Theme, baselines: Sequence[tuple[str, float]]) -> None:
    """Draws dashed lines, each with its name at the right end."""
    for name, height in baselines:
        axes.axhline(height, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1)
        axes.annotate(
            name, (1, height), (0, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
            ha="right", va="bottom", fontsize=7,
            color=theme.muted, path_effects=[withStroke(linewidth=2, foreground=theme.ground)], zorder=5,
        )  # fmt: skip


def curves_size(series: Sequence[Series]) -> tuple[float, float]:
    """Returns the inches of wide `curves`, with the legend."""
    return 4.6, 2.9 + legend_height(in_legend(series), 4.6, LINES)


def intervals(title: str, rows: Sequence[IntervalRow], *, zero: bool = False) -> Paint:
    """Draws scores as points with intervals, one row each, the first on top; `zero` has a line."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for height, row in enumerate(reversed(rows)):
            ink = theme.muted if row.faded else theme.trained
            axes.plot([row.low, row.high], [height, height], color=ink, linewidth=2, solid_capstyle="butt")
            axes.plot(
                row.value, height, "o", color=ink, markersize=5, fillstyle="none" if row.faded else "full"
            )
        axes.set_yticks(range(len(rows)), [short(row.label, LONGEST) for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.tick_params(axis="y", length=0, labelcolor=theme.ink)
        axes.spines["left"].set_visible(False)
        axes.set_title(title, x=0)
        axes.grid(axis="y", visible=False)
        if zero:
            axes.axvline(0, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1, zorder=0)

    return paint


def points(title: str, xy: Sequence[tuple[float, float]], labels: Sequence[str], *, x: str, y: str) -> Paint:
    """Draws labelled points; y is a fraction of 1."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(*zip(*xy, strict=True), "o", color=theme.trained, markersize=4)
        for point, label in zip(xy, labels, strict=True):
            axes.annotate(
                label, point, xytext=(3, 3), textcoords="offset points", fontsize=6.5, color=theme.muted
            )
        axes.set_title(title)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.margins(0.12)

    return paint


def colour(role: str | int, theme: Theme) -> str:
    """Returns a theme's colour by its role or its number."""
    if isinstance(role, int):
        return theme.classes[role % len(theme.classes)]
    return str(getattr(theme, role))


def in_legend(series: Sequence[Series]) -> list[str]:
    """Returns the labels of series, cut to the room of a legend."""
    return [short(line.label, LONGEST) for line in series if line.label]


def _power(value: float, _: int | None = None) -> str:
    """Writes a power of ten as by hand."""
    return f"10{str(round(math.log10(value))).translate(RAISED)}" if value > 0 else ""
