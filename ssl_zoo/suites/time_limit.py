"""`max_minutes`: a suite starts no run that would probably end later."""

from __future__ import annotations

import math
import time
from statistics import fmean

__all__ = ["TimeLimit"]


class TimeLimit:
    """The time that a suite has, and the seconds that its runs took.

    Args:
        minutes: of the whole, from now; None: no limit.
    """

    def __init__(self, minutes: float | None) -> None:
        self.end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self.seconds: dict[str, list[float]] = {}  # of each row

    def note(self, row: str, seconds: float | None) -> None:
        """Notes how long a run of a row took."""
        if seconds is not None:
            self.seconds.setdefault(row, []).append(seconds)

    @property
    def left(self) -> float:
        """Seconds that are left; infinite without a limit."""
        return self.end - time.monotonic()

    def expected(self, row: str) -> float | None:
        """Returns the mean seconds of the row's runs, else of all rows' runs; None where none has ended."""
        known = self.seconds.get(row) or [each for group in self.seconds.values() for each in group]
        return fmean(known) if known else None

    def fits(self, row: str) -> bool:
        """Whether a run would probably end in time; one of which nothing is known has any time that is left."""
        return self.left > (self.expected(row) or 0.0)
