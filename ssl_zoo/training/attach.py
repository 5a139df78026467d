"""The end of the records that wandb, mlflow and trackio keep of a run: summary, files, weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pytorch_lightning.loggers import Logger

from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import Unfinished
from ssl_zoo.registry import resolve
from ssl_zoo.run_dir.checkpoints import LAST
from ssl_zoo.run_dir.directory import command_to_continue
from ssl_zoo.run_dir.result import Result
from ssl_zoo.training.loggers import Record
from ssl_zoo.training.loggers.record import FOLDER

__all__ = ["complete_records"]

# Of the layers above, which know runs that have ended.
REPORT, EXPORT = "ssl_zoo.reports.report:report", "ssl_zoo.exporters.run:export"
FILES = ("curves.png", "result.json", "config.yaml")


def complete_records(loggers: Sequence[Logger], config: RunConfig, result: Result) -> None:
    """Completes and ends the records of a run whose result is written.

    Raises:
        Unfinished: a record lacks something; the message says how to send it.
    """
    records = [logger for logger in loggers if isinstance(logger, Record)]
    if not records:
        return
    run_dir = Path(result.run_dir)
    problems = []
    try:
        files, weights = _files(config, run_dir), _weights(config, run_dir)
    except Exception as error:
        problems.append(f"what is attached could not be made ({error})")
        files, weights = [run_dir / name for name in FILES], None
    figures, texts = _summary(result)
    for record in records:
        record.log_metrics(figures, result.steps)
        if (problem := record.conclude(texts, files, weights, result.steps)) is not None:
            problems.append(f"{record.name}: {problem}")
    if problems:
        raise Unfinished(
            f"the run is done, and its result written; its records are not complete: {'; '.join(problems)}; what is "
            f"missing is sent by {command_to_continue(run_dir)}"
        )


def _summary(result: Result) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the figures and the texts of the summary, `result/NAME` each."""
    values = {"knn_top1": result.knn_top1, "linear_top1": result.linear_top1, **asdict(result.baselines)}
    texts = {
        "verdict": result.verdict,
        "verdict_reason": result.verdict_reason,
        "cause": result.cause,
        "remedy": result.remedy,
    }
    return (
        {f"result/{name}": value for name, value in values.items() if value is not None},
        {f"result/{name}": text for name, text in texts.items() if text is not None},
    )


def _files(config: RunConfig, run_dir: Path) -> list[Path]:
    files = [run_dir / name for name in FILES]
    if config.trainer.logging.report:
        files.insert(0, resolve(REPORT)([write_override("run", str(run_dir))], silent=True))
    return files


def _weights(config: RunConfig, run_dir: Path) -> Path | None:
    if config.trainer.logging.weights == "checkpoint":
        return run_dir / "checkpoints" / LAST
    if config.trainer.logging.weights == "none":
        return None
    folder = run_dir / FOLDER / "backbone"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was shorter
    overrides = [write_override("run", str(run_dir)), "format=timm", write_override("out", str(folder))]
    exported: Path = resolve(EXPORT)(overrides, silent=True)
    return exported
