"""What wandb, mlflow and trackio must do for a record of a run, and how they are kept quiet."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.schema import LoggingConfig, RunConfig

__all__ = ["Client", "Identity", "Settings", "quietly"]

Identity = dict[str, Any]  # what finds a record again: plain values


class Settings:
    """What the clients need to know of a run.

    Args:
        config: of the run.
        run_dir: its directory.
    """

    def __init__(self, config: RunConfig, run_dir: Path) -> None:
        self.logging: LoggingConfig = config.trainer.logging
        self.run_dir = run_dir
        self.name = self.logging.name or run_dir.resolve().name
        self.values = to_mapping(config)  # nested, for the record


class Client(Protocol):
    """Writes the record of one run with a library. Any of these may fail, and is then tried again."""

    name: str

    def open(self, known: Identity | None) -> Identity:
        """Begins a record, or goes on with a known one; returns what finds it again."""

    def stored(self) -> dict[str, int] | None:
        """Returns the last step of each figure in the record; None: it cannot be asked, or not while it is writing."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Adds figures of a step."""

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> None:
        """Adds the summary's texts, attaches files, and a file or folder of weights."""

    def close(self, failed: bool) -> None:
        """Ends the record; `open` may go on with it."""


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silences what the libraries print, log and warn of: errors are raised, and the rest no user can act on."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        printed = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
