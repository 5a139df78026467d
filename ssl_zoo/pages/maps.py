"""Maps of many points, by colour and shape of their group; nothing here knows of runs or pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ssl_zoo.pages.charts import colour
from ssl_zoo.pages.drawing import Paint, Theme
from ssl_zoo.pages.legend import POINTS, add_legend, legend_height, short

__all__ = ["map_size", "scatter"]

OTHERS = "others"  # label of the points of a map without a group
MARKERS = "os^DvPX"  # with the colours: neighbours in a legend differ in both
COMPACT = 0.5  # a group is named on the map where its spread is below this fraction of the spread of all


def scatter(title: str, xy: NDArray[np.float32], groups: NDArray[np.int64], names: Sequence[str]) -> Paint:
    """Draws a map of N points (N, 2), by colour and shape of their group; group -1 is grey and has no name."""

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
        rest, labels = xy[groups < 0], [short(name) for name in names]
        handles: list[PathCollection] = []
        if len(rest):
            labels.append(OTHERS)
            grey = axes.scatter(rest[:, 0], rest[:, 1], s=area / 2, color=theme.rule, **style)
        for group in range(len(names)):
            members = xy[groups == group]
            mark = MARKERS[group % len(MARKERS)]
            ink = colour(group, theme)
            handles.append(
                axes.scatter(members[:, 0], members[:, 1], s=area, color=ink, marker=mark, **style)
            )
        if len(rest):
            handles.append(grey)
        for group, name in enumerate(names if len(names) <= 12 else ()):
            members = xy[groups == group]
            if len(members) and _spread(members) < COMPACT * _spread(xy):
                halo = [withStroke(linewidth=2.5, foreground=theme.ground)]
                middle = members[np.square(members - np.median(members, axis=0)).sum(axis=1).argmin()]
                axes.annotate(short(name), middle, ha="center", va="center", path_effects=halo, weight="bold")
        for handle in add_legend(figure, handles, labels, POINTS).legend_handles:
            if handle is not None:
                handle.set_sizes([22])  # type: ignore[attr-defined]

    return paint


def map_size(names: Sequence[str]) -> tuple[float, float]:
    """Returns the inches of a `scatter`, with its legend."""
    return 4.0, 3.7 + legend_height([*map(short, names), OTHERS], 4.0, POINTS)


def _spread(xy: NDArray[np.float32]) -> float:
    """Returns the median distance from the middle."""
    return float(np.median(np.linalg.norm(xy - np.median(xy, axis=0), axis=1)))
