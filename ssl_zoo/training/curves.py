"""`curves.png`: loss, output std ratio and kNN over the epochs, the three panels of SimSiam's Figure 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssl_zoo.files.writing import atomic_file
from ssl_zoo.metrics import METRICS
from ssl_zoo.run_dir.result import Baselines

__all__ = ["draw_curves"]

BLUE, GREY = "#2563eb", "#6b7280"


def draw_curves(
    path: Path, title: str, rows: Sequence[Mapping[str, float | None]], baselines: Baselines
) -> None:
    """Draws the curves of a run.

    Args:
        path: the PNG to write.
        title: above the panels.
        rows: those of metrics.csv; the one of epoch 0 is the untrained encoder.
        baselines: drawn as dashed lines in the panel of kNN.
    """
    labelled = any(row.get("knn_top1") is not None for row in rows)
    panels = ["loss", "output_std_ratio", *(["knn_top1"] if labelled else [])]
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    for axis, name in zip(axes, panels, strict=True):
        points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
        if points:
            axis.plot(*zip(*points, strict=True), color=BLUE, linewidth=2, marker="o", markersize=3)
        axis.set_title(METRICS.get(name).chart, fontsize=10)
        axis.set_xlabel("epoch")
        axis.set_xlim(left=0)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].set_ylim(0, 1.08)
    _line(axes[1], 1.0, "isotropic")
    if labelled:
        axes[2].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _line(axes[2], baselines.pixels_knn_top1, "pixels")
        _line(axes[2], baselines.random_encoder_knn_top1, "untrained encoder")
    with atomic_file(path) as fresh:
        figure.savefig(fresh, dpi=150, format="png")


def _line(axis: Axes, height: float | None, label: str) -> None:
    if height is not None:
        axis.axhline(height, color=GREY, linestyle="--", linewidth=1)
        axis.annotate(
            label,
            (1, height),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
            color=GREY,
        )
