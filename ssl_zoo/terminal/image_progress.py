"""Progress over images: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import time

from ssl_zoo.terminal.progress import ProgressDisplay

__all__ = ["ImageProgress"]

LINE_SECONDS = 30.0  # between two lines where there is no terminal


class ImageProgress(ProgressDisplay):
    """Counts the images that are done.

    Args:
        total: images.
        done: images of an earlier start.
        silent: print nothing at all.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, total: int, done: int, *, silent: bool = False, bar: bool = True) -> None:
        super().__init__("images", total, done, silent=silent, bar=bar)
        self.done, self.before = done, done
        self.logged = self.started
        self.start()

    def advance(self, images: int) -> None:
        """Counts more images."""
        self.done += images
        if self.update(self.done, f"{self.rate:.0f} images/s"):
            return
        now = time.perf_counter()
        if now - self.logged >= LINE_SECONDS:
            self.logged = now
            left = (self.total - self.done) / self.rate
            self.log(f"{self.done}/{self.total} images · {self.rate:.0f} images/s · {left:.0f} s left")

    @property
    def rate(self) -> float:
        """Images per second of this start."""
        return max(self.done - self.before, 1) / self.seconds
