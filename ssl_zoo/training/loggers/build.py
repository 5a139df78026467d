"""The loggers that `trainer.loggers` names: built, and ended where the run does not end well."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pytorch_lightning import loggers as lightning

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.training.loggers.client import Client, Settings
from ssl_zoo.training.loggers.csv_file import CsvFile
from ssl_zoo.training.loggers.mlflow_client import Mlflow
from ssl_zoo.training.loggers.record import Record
from ssl_zoo.training.loggers.tensorboard import TensorBoard
from ssl_zoo.training.loggers.trackio_client import Trackio
from ssl_zoo.training.loggers.wandb_client import Wandb

__all__ = ["LoggedRow", "build_loggers", "ending", "log_epoch"]

LoggedRow = dict[str, float | None]
CLIENTS: dict[str, Callable[[Settings], Client]] = {"wandb": Wandb, "mlflow": Mlflow, "trackio": Trackio}


def build_loggers(
    config: RunConfig, run_dir: Path, step: int, log: Callable[[str], None] = lambda line: None
) -> list[lightning.Logger]:
    """Builds the loggers of a run, in the process of rank zero.

    Args:
        config: of the run.
        run_dir: its directory.
        step: optimizer steps that the run has done.
        log: prints a line about the run.

    Raises:
        UserError: a record cannot be begun.
    """
    built: list[lightning.Logger] = []
    for name in config.trainer.loggers:
        try:
            if name == "csv":
                built.append(CsvFile(run_dir / "csv" / "metrics.csv", step))
            elif name == "tensorboard":
                built.append(TensorBoard(run_dir / name, step))
            else:
                built.append(Record(CLIENTS[name](Settings(config, run_dir)), run_dir, log))
        except BaseException:
            _close(built)
            raise
    return built


def log_epoch(loggers: Iterable[lightning.Logger], row: LoggedRow, step: int) -> None:
    """Logs the figures of an epoch's row, `epoch/NAME` each."""
    figures = {f"epoch/{name}": value for name, value in row.items() if name not in ("epoch", "step")}
    for logger in loggers:
        logger.log_metrics({name: value for name, value in figures.items() if value is not None}, step)


@contextlib.contextmanager
def ending(loggers: Sequence[lightning.Logger]) -> Iterator[None]:
    """Ends the records of a run that the block does not bring to its end."""
    try:
        yield
    except BaseException:
        _close(loggers)
        raise


def _close(loggers: Sequence[lightning.Logger]) -> None:
    for logger in loggers:
        if isinstance(logger, Record):
            logger.close(failed=True)
