"""The further figures that a suite asks for: which rows stand where in them."""

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
    """Heat maps of pairs, and lines over a number that rows are named by."""
    made = []
    for place, asked in enumerate(record.figures, 1):
        name = f"figure-{place}-{str(asked['kind']).replace('_', '-')}"
        picture = (_map if asked["kind"] == "heat_map" else _lines)(record, asked, name)
        made += [picture] if picture else []
    return Section("figures", "Figures", [Gallery(made, wide=True)]) if made else None


def numbered(name: str) -> tuple[str, float] | None:
    """Group and number of a row named GROUP_X."""
    match = NUMBERED.fullmatch(name)
    return (match[1], float(match[2])) if match else None


def _map(record: SuiteRecord, asked: dict[str, Any], name: str) -> Picture | None:
    metric, switches = asked.get("metric") or "top1", record.switches
    rows = {frozenset(row.name.split("+")): row for row in record.rows}
    values = np.full((len(switches), len(switches)), math.nan)
    told = []
    for i, one in enumerate(switches):
        for j, other in enumerate(switches):
            row = rows.get(frozenset((one, other)))
            mean = aggregate_of(row, metric).mean if row else None
            if row is not None and mean is not None:
                values[i, j] = mean
                told += [f"{row.name} {_write(metric, mean)}"] if i <= j else []
    if not told:
        return None
    said = f"{heading(metric)}{', %' if is_fraction(metric) else ''}"
    return chart(
        name,
        heat_map(said, drawable(switches, "switch"), values, lambda value: _write(metric, value)),
        alt=f"{said} of each part alone and of each pair: {'; '.join(told)}.",
        caption=f"Mean {said}. On the diagonal one part alone, elsewhere two. Empty: no result.",
        size=(max(3.6, 1.4 + 0.5 * len(switches)), max(3.2, 1.2 + 0.45 * len(switches))),
    )


def _lines(record: SuiteRecord, asked: dict[str, Any], name: str) -> Picture | None:
    metric = asked.get("metric") or "top1"
    points: dict[str, list[tuple[float, float, float]]] = {}
    baselines = []
    for row in record.rows:
        mean, place = aggregate_of(row, metric), numbered(row.name)
        if mean.mean is None:
            continue
        if place is None:
            baselines.append((row.name, mean.mean))
        else:
            std = math.nan if mean.std is None else mean.std
            points.setdefault(place[0], []).append((place[1], mean.mean, std))
    if not points:
        return None
    labels = drawable([*points], "line")
    groups = [
        Group(label, *(list(part) for part in zip(*sorted(some), strict=True)))
        for label, some in zip(labels, points.values(), strict=True)
    ]
    x = asked.get("x") or "number in the row's name"
    told = [
        f"{group} at {place:g} {_write(metric, mean)}"
        for group, some in points.items()
        for place, mean, _ in sorted(some)
    ]
    told += [f"{row} {_write(metric, mean)}" for row, mean in baselines]
    spread = " Bars: standard deviation over the seeds." if len(record.seeds) > 1 else ""
    said = f"{heading(metric)}{', %' if is_fraction(metric) else ''}"
    shown = [
        (label, mean)
        for label, (_, mean) in zip(drawable([row for row, _ in baselines], "row"), baselines, strict=True)
    ]
    return chart(
        name,
        against(heading(metric), groups, x=x, baselines=shown, percent=is_fraction(metric)),
        alt=f"{said} over {x}: {'; '.join(told)}.",
        caption=f"{heading(metric)} over {x}.{spread}{' Dashed: rows without such a number.' if baselines else ''}",
        size=against_size(groups),
    )


def _write(metric: str, value: float) -> str:
    return f"{100 * value:.1f}" if is_fraction(metric) else number(value)
