"""A row's overrides: values that are a multiple of the recipe's (`multiply: {epochs: 1/20}`), and no key twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import GROUPS
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.config.overrides import read_override
from ssl_zoo.errors import UserError, shown

__all__ = ["multiplied", "without_repetition"]


def multiplied(overrides: Sequence[str], factors: Mapping[str, Any], *, rounded: bool = False) -> list[str]:
    """Returns overrides that multiply values of what `overrides` compose to; whole numbers stay whole or are `rounded`.

    Raises:
        UserError: a key holds no number, a factor is none, or a product is no value that the key may have.
    """
    if not factors:
        return []
    values = to_dotted(to_mapping(compose(overrides)))
    return [f"{key}={_product(key, values.get(key), factor, rounded)}" for key, factor in factors.items()]


def _product(key: str, value: Any, factor: float | str, rounded: bool) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(
            f"multiply takes keys with numbers; '{key}' is {shown(value)}; set it among the overrides"
        )
    try:
        exact = Fraction(str(factor))
    except (ValueError, ZeroDivisionError):
        raise UserError(
            f"multiply takes a number or a fraction, for instance 1/8; received '{factor}' for {key}"
        ) from None
    product = Fraction(str(value)) * exact
    if isinstance(value, float):
        return float(product)
    if rounded:
        return max(1, round(product))
    if product.denominator != 1 or product < 1:
        raise UserError(
            f"{key} must stay a whole number of 1 or more; {value} times {factor} is {float(product):g}; set "
            f"another {key}"
        )
    return int(product)


def without_repetition(overrides: Sequence[str]) -> list[str]:
    """Drops overrides that a later one replaces, which takes their position; `compose` gives the same for both."""
    keys = [read_override(override)[0] for override in overrides]
    last = dict(zip(keys, overrides, strict=True))
    settings = [key for key in keys if key not in GROUPS]
    if any(other.startswith(f"{key}.") for key in settings for other in settings):
        # augment.views={...} before augment.views.two.size=8: the order counts
        return list(overrides)
    return [last[key] for key in dict.fromkeys(keys)]
