"""Figures as text: how a number, a fraction and a time are written in a cell or a sentence."""

from __future__ import annotations

import math

__all__ = ["number", "percent", "seconds"]


def number(value: float | None, digits: int = 3) -> str:
    """Writes a figure with so many significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "∞" if value == math.inf else "not finite"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{decimals}f}".replace("-", "−")


def percent(fraction: float | None, std: float | None = None) -> str:
    """Writes a fraction of 1 in percent, with its standard deviation where there is one."""
    if fraction is None:
        return "–"
    if not math.isfinite(fraction):
        return "not finite"
    known = std is not None and math.isfinite(std)
    return f"{fraction:.1%}".replace("%", " %" if not known else f" ± {100 * (std or 0):.1f} %")


def seconds(value: object) -> str:
    """Writes a time in seconds, minutes or hours."""
    if not isinstance(value, (int, float)):
        return "–"
    if value < 120:
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
