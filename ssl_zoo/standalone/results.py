"""Where a monitor's results go: a line at a collapse, a JSON file after each epoch, a table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_zoo.files.json_files import write_json
from ssl_zoo.monitors.verdict import COLLAPSED_ENERGY
from ssl_zoo.standalone.diagnosis import Diagnosis
from ssl_zoo.terminal.console import Console

__all__ = ["Results"]


class Results:
    """Prints and writes the results of one monitor in one training.

    Args:
        out: file; None: in the logger's folder.
        modules: names of the modules by role.
        alone: whether the training has no other monitor, from whose file and log keys these must differ.
        quiet: whether to print nothing.
    """

    def __init__(self, out: Path | None, modules: Mapping[str, str], *, alone: bool, quiet: bool) -> None:
        self.out, self.modules = out, dict(modules)
        self.name = (
            "collapse" if alone else f"collapse-{modules['embeddings']}"
        )  # of the file and of logged metrics
        self.console = Console(quiet=quiet)
        self.written: Path | None = None

    def report(self, diagnosis: Diagnosis, epoch: int, energy: float) -> None:
        """Prints that the training has collapsed in an epoch, with a residual energy."""
        why = "" if diagnosis.cause is None else f"; likely cause: {diagnosis.cause}"
        self.console.print(
            f"collapsed in epoch {epoch}: residual energy {energy:.2g} is below {COLLAPSED_ENERGY:.2g}{why}"
        )

    def write(
        self,
        folder: str | None,
        diagnosis: Diagnosis,
        collapsed_epoch: int | None,
        rows: Sequence[Mapping[str, float]],
    ) -> None:
        """Writes the file whole, in place of the last epoch's; none without `out` or a logger's folder."""
        file = self.out or (None if folder is None else Path(folder) / f"{self.name}.json")
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        extra = {"modules": self.modules, "collapsed_epoch": collapsed_epoch, "epochs_measured": list(rows)}
        write_json(file, {**diagnosis.to_dict(), **extra})
        self.written = file

    def close(self, diagnosis: Diagnosis, mode: str) -> None:
        """Prints the closing table, and where the file is."""
        where = "" if self.written is None else f"\n\nresults: {self.written}"
        self.console.print(
            f"\nCollapseMonitor, outputs of {self.modules['embeddings']} in {mode}\n{diagnosis}{where}"
        )
