"""The charts of a report, each a function that draws on a figure: numbers in, no knowledge of runs or pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from ssl_zoo.report.drawing import Paint, Theme

__all__ = ["Interval", "Series", "curves", "intervals", "points", "scatter"]

MARKERS = "os^DvPX"  # with the colours: neighbours in a legend differ in both
COLUMNS = 5  # of a map's legend
TOGETHER = 0.5  # a group is named on the map where its spread is below so much of the spread of all
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        label: in the legend; empty: not there.
        x, y: its points.
        role: "trained", "random" or "third" of a theme, or the number of a colour.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    role: str | int = "trained"


@dataclass(frozen=True)
class Interval:
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
    log_x: bool = False,
    log_y: bool = False,
    bottom: float | None = None,
    legend: bool = True,
) -> Paint:
    """Lines over a common axis, with baselines as dashed lines."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for number, one in enumerate(series):
            dash = DASHES[one.role // 10 % 4] if isinstance(one.role, int) else DASHES[number % 4]
            mark = "o" if len(one.x) < 60 and not log_y else ""
            axes.plot(
                one.x, one.y, dash, color=colour(one.role, theme), label=_short(one.label, 34), marker=mark,
                markersize=2,
            )  # fmt: skip
        for name, height in baselines:
            axes.axhline(height, color=theme.muted, linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(
                name, (1, height), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7,
                color=theme.muted, path_effects=[withStroke(linewidth=2, foreground=theme.ground)], zorder=5,
            )  # fmt: skip
        axes.set_title(title)
        axes.set_xlabel(x)
        if log_x:
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if log_y:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())  # half the time of drawing
        if percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        if bottom is not None:
            axes.set_ylim(bottom=bottom)
        if legend and sum(bool(one.label) for one in series) > 1:
            figure.legend(loc="outside lower center", ncols=2, handlelength=2.4)

    return paint


def scatter(title: str, xy: NDArray[np.float32], groups: NDArray[np.int64], names: Sequence[str]) -> Paint:
    """A map of N points (N, 2), by colour and shape of their group; group -1 is grey and has no name."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", adjustable="datalim")
        axes.spines[:].set_visible(False)
        area = float(np.clip(12000 / max(len(xy), 1), 6, 30))
        # The points become an image within the drawing: thousands of shapes would make it huge.
        style: dict[str, Any] = {"rasterized": True, "linewidths": 0, "alpha": 0.85}
        rest = xy[groups < 0]
        if len(rest):
            axes.scatter(rest[:, 0], rest[:, 1], s=area / 2, color=theme.rule, label="others", **style)
        for group, name in enumerate(names):
            there = xy[groups == group]
            mark = MARKERS[group % len(MARKERS)]
            axes.scatter(
                there[:, 0], there[:, 1], s=area, color=colour(group, theme), marker=mark, label=name, **style
            )
        for group, name in enumerate(names if len(names) <= 12 else ()):
            there = xy[groups == group]
            if len(there) and _spread(there) < TOGETHER * _spread(xy):
                halo = [withStroke(linewidth=2.5, foreground=theme.ground)]
                middle = there[np.square(there - np.median(there, axis=0)).sum(axis=1).argmin()]
                axes.annotate(
                    _short(name), middle, ha="center", va="center", path_effects=halo, weight="bold"
                )
        handles, labels = axes.get_legend_handles_labels()
        order = [i for column in range(COLUMNS) for i in range(column, len(labels), COLUMNS)]  # row by row
        legend = figure.legend(
            [handles[i] for i in order], [_short(labels[i]) for i in order], loc="outside lower center",
            ncols=COLUMNS, handletextpad=0.1, columnspacing=1, fontsize=8,
        )  # fmt: skip
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set_sizes([22])  # type: ignore[attr-defined]

    return paint


def intervals(title: str, rows: Sequence[Interval]) -> Paint:
    """Scores as points with intervals, one row each, the first on top."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for height, row in enumerate(reversed(rows)):
            ink = theme.muted if row.faded else theme.trained
            axes.plot([row.low, row.high], [height, height], color=ink, linewidth=2, solid_capstyle="butt")
            axes.plot(
                row.value, height, "o", color=ink, markersize=5, fillstyle="none" if row.faded else "full"
            )
        axes.set_yticks(range(len(rows)), [_short(row.label, 34) for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.tick_params(axis="y", length=0, labelcolor=theme.ink)
        axes.spines["left"].set_visible(False)
        axes.set_title(title, x=0)
        axes.grid(axis="y", visible=False)

    return paint


def points(title: str, xy: Sequence[tuple[float, float]], labels: Sequence[str], *, x: str, y: str) -> Paint:
    """Labelled points; y is a share of 1."""

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(*zip(*xy, strict=True), "o", color=theme.trained, markersize=4)
        for place, label in zip(xy, labels, strict=True):
            axes.annotate(
                label, place, xytext=(3, 3), textcoords="offset points", fontsize=6.5, color=theme.muted
            )
        axes.set_title(title)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axes.margins(0.12)

    return paint


def colour(role: str | int, theme: Theme) -> str:
    """A theme's colour by its role or its number."""
    if isinstance(role, int):
        return theme.classes[role % len(theme.classes)]
    return str(getattr(theme, role))


def _spread(xy: NDArray[np.float32]) -> float:
    """Median distance from the middle."""
    return float(np.median(np.linalg.norm(xy - np.median(xy, axis=0), axis=1)))


def _short(text: str, most: int = 16) -> str:
    """Cut in the middle: names of runs differ at their ends."""
    half = most // 2
    return text if len(text) <= most else f"{text[: most - half - 1]}…{text[-half:]}"
