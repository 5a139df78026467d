"""The further figures that a suite asks for: heat maps of pairs, and lines over a number."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ssl_zoo.pages.drawing import Picture, chart
from ssl_zoo.pages.legend import drawable
from ssl_zoo.pages.numbers import number
from ssl_zoo.pages.page import Gallery, Section
from ssl_zoo.pages.row_charts import Group, against, against_size, heat_map
from ssl_zoo.suites.aggregate import aggregate_of, heading, is_fraction
from ssl_zoo.suites.record import SuiteRecord

__all__ = ["figures", "numbered"]

NUMBERED = re.compile(r"(.+)_(\d+(?:\.\d+)?(?:e-?\d+)?)")  # GROUP_X


def figures(record: SuiteRecord) -> Section | None:
    """Draws heat maps of pairs, and lines over a number that rows are named by."""
    pictures = []
    for index, asked in enumerate(record.figures, 1):
        name = f"figure-{index}-{str(asked['kind']).replace('_', '-')}"
        picture = (_map if asked["kind"] == "heat_map" else _lines)(record, asked, name)
        pictures += [picture] if picture else []
    return Section("figures", "Figures", [Gallery(pictures, wide=True)]) if pictures else None


def numbered(name: str) -> tuple[str, float] | None:
    """Returns the group and the number of a row named GROUP_X."""
    match = NUMBERED.fullmatch(name)
    return (match[1], float(match[2])) if match else None


def _map(record: SuiteRecord, asked: dict[str, Any], name: str) -> Picture | None:
    metric, switches = asked.get("metric") or "top1", record.switches
    rows = {frozenset(row.name.split("+")): row for row in record.rows}
    values = np.full((len(switches), len(switches)), math.nan)
    descriptions = []
    for i, switch in enumerate(switches):
        for j, other in enumerate(switches):
            row = rows.get(frozenset((switch, other)))
            mean = aggregate_of(row, metric).mean if row else None
            if row is not None and mean is not None:
                values[i, j] = mean
                descriptions += [f"{row.name} {_write(metric, mean)}"] if i <= j else []
    if not descriptions:
        return None
    title = f"{heading(metric)}{', %' if is_fraction(metric) else ''}"
    return chart(
        name,
        heat_map(title, drawable(switches, "switch"), values, lambda value: _write(metric, value)),
        alt=f"{title} of each part alone and of each pair: {'; '.join(descriptions)}.",
        caption=f"Mean {title}. On the diagonal one part alone, elsewhere two. Empty: no result.",
        size=(max(3.6, 1.4 + 0.5 * len(switches)), max(3.2, 1.2 + 0.45 * len(switches))),
    )


def _lines(record: SuiteRecord, asked: dict[str, Any], name: str) -> Picture | None:
    metric = asked.get("metric") or "top1"
    points: dict[str, list[tuple[float, float, float]]] = {}
    baselines = []
    for row in record.rows:
        mean, position = aggregate_of(row, metric), numbered(row.name)
        if mean.mean is None:
            continue
        if position is None:
            baselines.append((row.name, mean.mean))
        else:
            std = math.nan if mean.std is None else mean.std
            points.setdefault(position[0], []).append((position[1], mean.mean, std))
    if not points:
        return None
    labels = drawable([*points], "line")
    groups = [
        Group(label, *(list(part) for part in zip(*sorted(group), strict=True)))
        for label, group in zip(labels, points.values(), strict=True)
    ]
    x = asked.get("x") or "number in the row's name"
    descriptions = [
        f"{group} at {value:g} {_write(metric, mean)}"
        for group, means in points.items()
        for value, mean, _ in sorted(means)
    ]
    descriptions += [f"{row} {_write(metric, mean)}" for row, mean in baselines]
    spread = " Bars: standard deviation over the seeds." if len(record.seeds) > 1 else ""
    title = f"{heading(metric)}{', %' if is_fraction(metric) else ''}"
    shown = [
        (label, mean)
        for label, (_, mean) in zip(drawable([row for row, _ in baselines], "row"), baselines, strict=True)
    ]
    return chart(
        name,
        against(heading(metric), groups, x=x, baselines=shown, percent=is_fraction(metric)),
        alt=f"{title} over {x}: {'; '.join(descriptions)}.",
        caption=f"{heading(metric)} over {x}.{spread}{' Dashed: rows without such a number.' if baselines else ''}",
        size=against_size(groups),
    )


def _write(metric: str, value: float) -> str:
    return f"{100 * value:.1f}" if is_fraction(metric) else number(value)
