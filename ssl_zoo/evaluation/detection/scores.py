"""Average precision, as figures of one split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["IOUS", "AveragePrecision"]

IOUS = np.arange(50, 100, 5) / 100  # (10,) 0.5, 0.55, ..., 0.95


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision by class and overlap, fractions of 1."""

    values: NDArray[np.float64]  # (K, 10), of each class at each of `IOUS`; nan for a class without objects

    @property
    def ap(self) -> float | None:
        """Mean over classes and overlaps; None where no class has objects."""
        return _mean(self.values)

    @property
    def ap50(self) -> float | None:
        """Mean over classes at an overlap of 0.5."""
        return _mean(self.values[:, 0])

    @property
    def ap75(self) -> float | None:
        """Mean over classes at an overlap of 0.75."""
        return _mean(self.values[:, 5])

    @property
    def by_class(self) -> list[float | None]:
        """AP of each of the K classes."""
        return [_mean(row) for row in self.values]


def _mean(values: NDArray[np.float64]) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else None
