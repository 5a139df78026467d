"""Charts of rows of a table: differences, heat maps, and lines over a number; none knows of suites."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter
from numpy.typing import NDArray

from ssl_zoo.pages.charts import colour, draw_baselines
from ssl_zoo.pages.drawing import Paint, Theme
from ssl_zoo.pages.legend import LINES, add_legend, legend_height, short
from ssl_zoo.pages.page import SIGNS

__all__ = ["Difference", "Group", "against", "against_size", "differences", "differences_size", "heat_map"]

MARKERS = "osD^vPX"
WIDEST = 72  # letters of a claim in a picture
SPAN = 8  # numbers that span more than this factor stand on a logarithmic axis


@dataclass(frozen=True)
class Difference:
    """A claim's difference with its interval."""

    label: str
    state: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """Points of one line, with the standard deviation of each; nan: unknown."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    std: Sequence[float]


def differences(title: str, rows: Sequence[Difference]) -> Paint:
    """Draws differences as points with intervals against 0, each below its claim, the first on top."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for height, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            ink = {"holds": theme.trained, "fails": colour(2, theme)}.get(row.state, theme.muted)
            axes.plot([row.low, row.high], [height, height], color=ink, linewidth=2, solid_capstyle="butt")
            filled = "none" if row.state == "undecided" else "full"
            axes.plot(row.value, height, "o", color=ink, markersize=5, fillstyle=filled)
            axes.annotate(
                f"{SIGNS.get(row.state, '')} {short(row.label, WIDEST)}", (0, height + 0.2),
                xycoords=("axes fraction", "data"), ha="left", va="bottom", fontsize=7.5, color=theme.ink,
                path_effects=[withStroke(linewidth=2, foreground=theme.ground)], zorder=5,
            )  # fmt: skip
        axes.axvline(0, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1)
        axes.set_yticks([])
        axes.set_ylim(-0.5, len(rows) - 0.2)
        axes.spines["left"].set_visible(False)
        axes.set_title(title)

    return paint


def differences_size(rows: Sequence[Difference]) -> tuple[float, float]:
    """Returns the inches of `differences`."""
    return 4.6, 0.75 + 0.38 * len(rows)


def heat_map(
    title: str, names: Sequence[str], values: NDArray[np.float64], write: Callable[[float], str]
) -> Paint:
    """Draws a matrix of N by N values with the figures in its cells; nan stays empty."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        colours = colormaps["cividis"]  # readable with any colour vision, on light and on dark ground
        shade = (values - low) / (high - low or 1.0)
        axes.imshow(np.ma.masked_invalid(shade), cmap=colours, vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            if math.isfinite(value):
                red, green, blue, _ = colours(shade[row, column])
                ink = "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.46 else "#ffffff"
                axes.text(column, row, write(float(value)), ha="center", va="center", fontsize=7.5, color=ink)
        labels = [short(name) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), labels)
        axes.tick_params(length=0, labelcolor=theme.ink)
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
        axes.set_title(title)

    return paint


def against(
    title: str, groups: Sequence[Group], *, x: str, baselines: Sequence[tuple[str, float]], percent: bool
) -> Paint:
    """Draws lines over a number, one for each group, with error bars; baselines are dashed."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes, handles = figure.subplots(), []
        for index, group in enumerate(groups):
            mark = MARKERS[index % len(MARKERS)]
            drawn = axes.errorbar(
                group.x, group.y, np.nan_to_num(group.std), color=colour(index, theme), marker=mark,
                markersize=4, capsize=2.5, elinewidth=1,
            )  # fmt: skip
            handles.append(drawn.lines[0])
        draw_baselines(axes, theme, [(short(name, 30), height) for name, height in baselines])
        numbers = sorted({value for group in groups for value in group.x})
        if numbers[0] > 0 and numbers[-1] / numbers[0] > SPAN:
            axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.set_title(title)
        axes.set_xlabel(x)
        if len(groups) > 1:
            add_legend(
                figure,
                [line for line in handles if line],
                [short(group.label, 34) for group in groups],
                LINES,
            )

    return paint


def against_size(groups: Sequence[Group]) -> tuple[float, float]:
    """Returns the inches of `against`, with its legend."""
    return 4.6, 3.0 + legend_height([short(group.label, 34) for group in groups], 4.6, LINES)
