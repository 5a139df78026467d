"""TensorBoard's events in the run directory."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import loggers as lightning
from torch.utils.tensorboard import SummaryWriter

from ssl_zoo.files.writing import synchronize

__all__ = ["TensorBoard", "quiet_event_writer"]

MEASURED = ".measured"  # ends the name of the file with what was measured after the training


def _put_in_order(folder: Path) -> None:
    """Renames the files of earlier starts so that a new one, named by the clock, is the last.

    TensorBoard reads files by their names. With a clock that was set back, or another machine's, it would read what a
    killed start wrote of later steps after what replaces it.
    """
    before = int(time.time())
    for file in sorted(folder.glob("events.out.tfevents.*"), reverse=True):
        start, clock, rest = re.split(r"(?<=tfevents)\.(\d+)\.", file.name, maxsplit=1)
        if int(clock) >= before:
            os.replace(file, file.with_name(f"{start}.{before - 1:010d}.{rest}"))
        before = min(before - 1, int(clock))


class TensorBoard(lightning.Logger):
    """Writes figures to TensorBoard.

    Lightning's TensorBoardLogger cannot hide what a killed start wrote of later steps, nor take back what was measured
    after the training when the run goes on; and it writes a file `hparams.yaml`.

    Args:
        folder: where to write.
        step: optimizer steps done; what was written of later ones is not shown.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        super().__init__()
        self.folder, self.step = folder, step
        self._finalized = False
        self._writer: SummaryWriter | None = None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def version(self) -> str:
        """Empty: a run has one folder."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes figures; those after `finalize` go to a file of their own, in place of an earlier one."""
        if self._writer is None:
            for file in self.folder.glob(f"*{MEASURED}") if self._finalized else ():
                file.unlink()
            _put_in_order(self.folder)
            suffix, purge = (MEASURED, None) if self._finalized else ("", self.step + 1)
            self._writer = SummaryWriter(str(self.folder), purge_step=purge, filename_suffix=suffix)
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the configuration is in config.yaml."""

    def save(self) -> None:
        """Waits until the disk has all that was written."""
        if self._writer is not None:
            self._writer.flush()
            synchronize(self.folder)

    def finalize(self, status: str) -> None:
        """Closes the file, however the training has ended."""
        if self._writer is not None:
            with contextlib.suppress(OSError):  # a full disk, which has been met by then
                self._writer.close()
                synchronize(self.folder)
        self._writer, self._finalized = None, True


@contextlib.contextmanager
def quiet_event_writer() -> Iterator[None]:
    """Silences TensorBoard's thread, whose error, such as a full disk, is raised in this thread as well."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard"):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
