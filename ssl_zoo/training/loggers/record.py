"""A record of a run outside of its directory: complete, without repetitions, whatever happens to process or network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import loggers as lightning

from ssl_zoo.errors import UserError, shortened
from ssl_zoo.files.json_files import write_json
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.training.logger_checks import without_login
from ssl_zoo.training.loggers.client import Client, quietly
from ssl_zoo.training.loggers.journal import Journal, last_steps

__all__ = ["FOLDER", "Record"]

FOLDER = "loggers"  # of the run directory: NAME.json is what a continuation needs to know
WAIT, FACTOR = 60.0, 30.0  # seconds between attempts after a failure, or so many times what the attempt took


class Record(lightning.Logger):
    """Logs to a client. A failure ends no training: what could not be sent is kept in the run directory and sent later.

    A continued run computes the steps after its checkpoint once more, to the same bits. They are not logged again, as
    none of the clients can take figures back; what a client lost when its process was killed is sent from the journal.

    Args:
        client: writes the record.
        run_dir: of the run. `loggers/NAME.json` there holds what finds the record again, `NAME.jsonl` its figures.
        log: prints a line about the run.

    Raises:
        UserError: a new record cannot be begun.
    """

    def __init__(self, client: Client, run_dir: Path, log: Callable[[str], None]) -> None:
        super().__init__()
        self.client, self.log = client, log
        folder = run_dir / FOLDER
        folder.mkdir(exist_ok=True)
        self.file, self.journal = folder / f"{client.name}.json", Journal(folder / f"{client.name}.jsonl")
        self.identity = read_record(self.file)
        self.last = last_steps(self.journal)
        self.unsent: list[tuple[int, dict[str, float]]] = []
        self.error: str | None = None
        self._open, self._next_attempt = False, 0.0
        self._asks = self.identity is not None  # whether the client is asked what it has before more is sent
        if self._asks:
            self._attempt(self._send)
            return
        try:
            with quietly():
                self._begin()
        except Exception as error:
            self.close(failed=True)
            raise UserError(
                f"trainer.loggers=[{client.name}] cannot begin a record: {_reason(error)}; mend that, or leave it out"
            ) from error

    @property
    def name(self) -> str:
        """Name of the client."""
        return self.client.name

    @property
    def version(self) -> str:
        """Empty: a run has one record."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs the figures that the record does not have yet."""
        step = step or 0
        new = {name: float(value) for name, value in metrics.items() if step > self.last.get(name, -1)}
        if not new:
            return
        self.journal.append(step, new)
        self.unsent.append((step, new))
        self.last.update(dict.fromkeys(new, step))
        if time.monotonic() >= self._next_attempt:
            self._attempt(self._send)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: a record begins with the configuration."""

    def save(self) -> None:
        """Waits until the disk has all that was logged; a checkpoint follows."""
        self.journal.synchronize()

    def finalize(self, status: str) -> None:
        """Does as `save`; what is measured after the training is still to come."""
        self.save()

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> str | None:
        """Completes and ends the record; returns why that was not possible, else None."""
        self._attempt(self._send)
        if self.error is None:
            self._attempt(lambda: self.client.conclude(texts, files, weights, step))
        problem = self.close()
        return self.error or problem

    def close(self, *, failed: bool = False) -> str | None:
        """Ends the record, unless it is not open; returns why that was not possible, else None."""
        if not self._open:
            return None
        self._open = False
        try:
            with quietly():
                self.client.close(failed)
        except Exception as error:
            return _reason(error)
        return None

    def _begin(self) -> None:
        known = self.identity
        self.identity = self.client.open(known)
        self._open = True
        if known is None:
            write_json(self.file, self.identity)

    def _ask(self) -> None:
        """Finds what the client lacks of the journal."""
        if (stored := self.client.stored()) is not None:
            rows = ((s, {k: v for k, v in row.items() if s > stored.get(k, -1)}) for s, row in self.journal)
            self.unsent = [(step, row) for step, row in rows if row]
            self.last = {
                name: max(self.last.get(name, -1), stored.get(name, -1)) for name in {*self.last, *stored}
            }
        self._asks = False

    def _send(self) -> None:
        if not self._open:
            self._begin()
        if self._asks:
            self._ask()
        self._asks = bool(self.unsent)  # what fails may have been stored all the same, its answer lost
        while self.unsent:
            step, figures = self.unsent[0]
            self.client.log(figures, step)
            del self.unsent[0]
        self._asks = False

    def _attempt(self, action: Callable[[], None]) -> None:
        """Tries something; a failure is reported once, and noted with when to try again."""
        started, before = time.monotonic(), self.error
        try:
            with quietly():
                action()
            self.error = None
        except Exception as error:
            ended = time.monotonic()
            self._next_attempt = ended + max(WAIT, FACTOR * (ended - started))
            self.error = _reason(error)
            if before is None:
                self.log(f"{self.name}: {self.error}; figures are kept in {self.journal.file} and sent later")
        else:
            self._next_attempt = 0.0
            if before is not None:
                self.log(f"{self.name}: what was kept has been sent")


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return shortened(without_login(f"{type(error).__name__}: {lines[0]}".rstrip(": .")), 300)
