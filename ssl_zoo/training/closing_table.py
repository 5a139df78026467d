"""The closing table of a run, and the commands that can follow it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ssl_zoo.metrics import METRICS, computed
from ssl_zoo.run_dir.result import Result
from ssl_zoo.terminal.console import styled

__all__ = ["closing_lines", "closing_table", "next_steps"]

COLOURS = {
    "healthy": "green",
    "collapsed": "red",
    "partially collapsed": "yellow",
    "diverged": "red",
    "not learning": "yellow",
}
NO_ACCURACY = (
    "no accuracies: they need labelled training and test images (data.test=FOLDER or data.holdout=0.2)"
)


def closing_table(result: Result, title: str, initial: Mapping[str, float]) -> Panel:
    """Returns the closing table of a run: its figures beside those without any training, and the verdict.

    Args:
        result: the run's.
        title: the run in words.
        initial: metrics of the untrained encoder's embeddings, by key.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "trained", "untrained encoder", "raw pixels"):
        table.add_column(column, justify="left" if not column else "right")
    base = result.baselines
    if result.linear_top1 is not None:
        std = result.linear_top1_std  # None where nothing was drawn, NaN of one draw
        spread = "" if std is None or not math.isfinite(std) else f" ± {100 * std:.1f}"
        table.add_row(
            METRICS.get("linear_top1").title,
            _percent(result.linear_top1) + spread,
            _percent(base.random_encoder_linear_top1),
            _percent(base.pixels_linear_top1),
        )
        table.add_row(
            METRICS.get("knn_top1").title,
            _percent(result.knn_top1),
            _percent(base.random_encoder_knn_top1),
            _percent(base.pixels_knn_top1),
        )
    for name, metric in computed().items():
        if not metric.closing:
            continue
        label = f"{metric.title} ({metric.reading})" if metric.reading else metric.title
        table.add_row(label, _number(result.metrics.get(name)), _number(initial.get(name)), "")
    colour = COLOURS[result.verdict]
    verdict = styled((f" {result.verdict.upper()} ", f"bold white on {colour}"), f" {result.verdict_reason}")
    speed = f"{result.views_per_second:.0f} views/s · " if result.views_per_second else ""
    foot = "\n".join(
        line
        for line in (
            result.linear_protocol and f"linear probe: {result.linear_protocol}",
            result.knn_protocol and f"kNN: {result.knn_protocol}",
            NO_ACCURACY if result.linear_top1 is None else "",
            f"unreadable files left out: {result.skipped}" if result.skipped else "",
            f"{result.train_seconds:.0f} s training · {speed}{result.peak_memory_mb:.0f} MB at most",
            f"{result.run_dir}: result.json, metrics.csv, curves.png, checkpoints/last.ckpt",
        )
        if line
    )
    grid = Table.grid(padding=(1, 0, 0, 0))
    for part in (table, verdict, _remedy(result), styled((foot, "dim"))):
        if part is not None:
            grid.add_row(part)
    return Panel(grid, title=styled(title), title_align="left", border_style=colour, expand=False)


def closing_lines(result: Result) -> Text:
    """Returns the verdict with its cause and remedy, for a notebook: there a result shows its figures itself."""
    verdict = styled((result.verdict.upper(), "bold"), f" {result.verdict_reason}")
    return Text("\n").join(filter(None, (verdict, _remedy(result))))


def next_steps(result: Result) -> str:
    """Returns the commands that can follow a run, a line each, as they are typed in a shell."""
    protocol = () if result.linear_top1 is not None else ("protocol=label_free",)
    verbs = (("eval", *protocol), ("report",), ("export", "format=timm"))
    commands = (("ssl-zoo", verb, str(result.run_dir), *options) for verb, *options in verbs)
    return "next: " + "\n      ".join(map(shlex.join, commands))


def _remedy(result: Result) -> Text | None:
    """Returns the likely cause of a verdict other than healthy, and what to try."""
    if result.cause is None:
        return None
    return styled(("likely cause: ", "bold"), result.cause, ("\nto try: ", "bold"), result.remedy or "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
