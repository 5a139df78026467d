"""`ssl-zoo eval`: an encoder, some protocols, and a record of each."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ssl_zoo.data import Data, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.compose import compose_evaluations
from ssl_zoo.evaluation.schema import SECTIONS, EvalConfig
from ssl_zoo.evaluation.subject import subject_of
from ssl_zoo.evaluation.task import Outcome, Task
from ssl_zoo.result import environment, git_commit, versions, write_json
from ssl_zoo.training.hardware import plan_for

__all__ = ["evaluate"]


def evaluate(words: Sequence[str] = (), *, silent: bool = False) -> list[dict[str, Any]]:
    """Evaluates an encoder: `ssl_zoo.evaluate(["run=runs/mine", "protocol=knn,few_labels"])`.

    Args:
        words: the same `key=value` words as on the command line.
        silent: print nothing.

    Returns:
        Per protocol what its `eval-*.json` holds; accuracies are fractions of 1.

    Raises:
        UserError: the words, or what they name, are wrong; nothing has been created.
    """
    threads = torch.get_num_threads()
    try:
        return _evaluate(words, Console(quiet=silent))
    finally:
        torch.set_num_threads(threads)


def _evaluate(words: Sequence[str], console: Console) -> list[dict[str, Any]]:
    configs, run = compose_evaluations(words)
    first = configs[0]
    if first.threads is not None:
        torch.set_num_threads(first.threads)
    hardware = plan_for(first.accelerator, "fp32" if first.precision == "auto" else first.precision)
    reader = next((config for config in configs if config.data is not None), first)
    subject = subject_of(reader, run, hardware.device)
    strider = subject.identity["backbone"] if subject.strides_single_pixels else None
    training = plan_for(first.accelerator, first.precision, strider=strider, size=first.size)
    data = _load(configs)
    folder = subject.folder if first.out is None else Path(first.out).expanduser()
    _check_folder(folder)

    def say(line: str) -> None:
        if first.progress:
            console.print(f"  {line}", style="dim", highlight=False)

    tasks = []
    for config in configs:
        own = None if config.data is None else data
        tasks.append(Task(config, subject, own, hardware, training, say))
    for task in tasks:
        _protocol(task.config).check(task)
    where = (
        f"{torch.get_num_threads()} CPU threads" if hardware.device.type == "cpu" else str(hardware.device)
    )
    console.print(
        f"[bold]{subject.title}[/bold] · {subject.num_features} features · {where}", highlight=False
    )
    records = []
    for position, task in enumerate(tasks):
        if position and "features" in vars(tasks[position - 1]):
            vars(task).setdefault("features", tasks[position - 1].features)
        started = time.perf_counter()
        outcome = _protocol(task.config).run(task)
        record = _record(task, outcome, time.perf_counter() - started)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / _file_name(record)
        write_json(file, record)
        records.append(record)
        _show(console, record, file)
    return records


def _load(configs: Sequence[EvalConfig]) -> Data | None:
    """The images, which all protocols of a command share."""
    return next((load_data(config.data) for config in configs if config.data is not None), None)


def _protocol(config: EvalConfig) -> ModuleType:
    return importlib.import_module(f"ssl_zoo.evaluation.protocols.{config.kind}")


def _check_folder(folder: Path) -> None:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        raise UserError(f"out must be a folder; received '{folder}', and '{there}' is a file; choose another")


def _record(task: Task, outcome: Outcome, seconds: float) -> dict[str, Any]:
    config, data = task.config, task.data
    settings = dataclasses.asdict(config)
    others = [section for section in SECTIONS if section != config.kind]
    described = None
    if data is not None:
        described = {
            "name": settings["data"]["name"],
            "train_images": len(data.train),
            "labelled_images": None if data.bank is None else len(data.bank),
            "test_images": None if data.test is None else len(data.test),
            "classes": None if data.classes is None else len(data.classes),
            "size": config.size,
            "skipped": len(data.skipped),
        }
    return {
        "protocol": config.protocol,
        "kind": config.kind,
        "in_words": outcome.in_words,
        "encoder": {"title": task.subject.title, **task.subject.identity},
        "data": described,
        "metric": outcome.metric,
        "top1": outcome.top1,
        "top1_std": outcome.top1_std,
        "rows": list(outcome.rows),
        "details": outcome.details,
        "seconds": seconds,
        "seed": config.seed,
        "settings": {key: value for key, value in settings.items() if key not in others},
        "environment": {
            key: value
            for key, value in environment(task.hardware).items()
            if key not in ("versions", "git_commit")
        },
        "git_commit": git_commit(),
        "versions": versions(),
    }


def _file_name(record: dict[str, Any]) -> str:
    """Two evaluations have one name only if they are the same one done again."""
    free = ("progress", "out", "threads", "run")
    what = {
        "settings": {key: value for key, value in record["settings"].items() if key not in free},
        "encoder": {key: value for key, value in record["encoder"].items() if key not in ("run", "title")},
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()[:8]
    data = record["data"] or {"name": "boxes"}
    weights = "" if record["encoder"]["weights"] == "trained" else f"-{record['encoder']['weights']}"
    return f"eval-{record['protocol']}-{data['name']}{weights}-{digest}.json"


def _show(console: Console, record: dict[str, Any], file: Path) -> None:
    std = record["top1_std"]
    spread = "" if std is None or std != std else f" ± {100 * std:.1f}"
    title = f"{record['protocol']}: {record['metric']}"
    if record["top1"] is not None:
        title += f" {_percent(record['top1'])}{spread}"
    table = Table(title=title, title_justify="left", title_style="bold")
    columns = list(record["rows"][0]) if record["rows"] else []
    for column in columns:
        table.add_column(column, justify="right")
    for row in record["rows"]:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    console.print(table if columns else title, highlight=False)
    console.print(f"{record['in_words']} · {record['seconds']:.1f} s · {file}", style="dim", highlight=False)


def _cell(column: str, value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float) and column.startswith(("top", "AP")):
        return _percent(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
