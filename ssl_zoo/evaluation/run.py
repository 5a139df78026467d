"""`ssl-zoo eval`: an encoder, some protocols, and a record of each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from ssl_zoo.config.added_keys import without_added
from ssl_zoo.data import load_data
from ssl_zoo.data.given import passing
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.compose import compose_evaluations, read_eval
from ssl_zoo.evaluation.encoder import build_subject
from ssl_zoo.evaluation.protocols import PROTOCOLS
from ssl_zoo.evaluation.task import FrozenFeatures, Outcome, Task
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.json_files import write_json
from ssl_zoo.hardware.device import choose_hardware, use_threads
from ssl_zoo.run_dir.environment import environment
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.terminal.console import Console, styled
from ssl_zoo.terminal.counting import showing_counts

__all__ = ["evaluate"]


def evaluate(
    overrides: Sequence[str] = (), *, silent: bool = False, data: Any = None, test: Any = None
) -> list[dict[str, Any]]:
    """Evaluates an encoder: `ssl_zoo.evaluate(["run=runs/mine", "protocol=knn,few_labels"])`.

    Args:
        overrides: the same overrides as on the command line.
        silent: print nothing.
        data: a map-style Dataset of images in place of those that `data=` names; see `train`.
        test: likewise, of test images.

    Returns:
        The contents of each protocol's `eval-*.json`; accuracies are fractions of 1.

    Raises:
        UserError: the overrides, or what they name, are wrong; nothing has been created.
    """
    threads = torch.get_num_threads()
    try:
        with passing(overrides, data, test) as overrides:
            return _evaluate(overrides, Console(quiet=silent))
    finally:
        torch.set_num_threads(threads)


def _evaluate(overrides: Sequence[str], console: Console) -> list[dict[str, Any]]:
    command, messages = read_eval(overrides), Console(quiet=console.quiet, stderr=True)
    run = None if command.run is None else open_run(command.run)
    trained = None if run is None else run.config
    configs, views = compose_evaluations(command, trained)
    first = configs[0]
    use_threads(first.threads)
    hardware = choose_hardware(first.accelerator, "fp32" if first.precision == "auto" else first.precision)
    with showing_counts(first.progress and not console.quiet):
        data = next((load_data(config.data) for config in configs if config.data is not None), None)
    if data is not None and data.labelled is None and not command.named:
        configs, views = compose_evaluations(read_eval([*overrides, "protocol=label_free"]), trained)
    first = configs[0]
    reader = next((config for config in configs if config.data is not None), first)
    subject = build_subject(reader, run, views, hardware.device)
    training = hardware
    if any(PROTOCOLS.get(config.kind).trains for config in configs):
        strider = subject.identity["backbone"] if subject.strides_single_pixels else None
        training = choose_hardware(first.accelerator, first.precision, strider=strider, size=reader.size)
    folder = subject.folder if first.out is None else Path(first.out).expanduser()
    check_writable(folder, "results go into a folder that can be written to", "set out=FOLDER")

    def log(line: str) -> None:
        if first.progress:
            messages.print(f"  {line}", style="dim")

    shared: dict[str, FrozenFeatures] = {}
    holds = any(PROTOCOLS.get(config.kind).holds_features for config in configs)
    tasks = [
        Task(config, subject, None if config.data is None else data, hardware, training, log, shared, holds)
        for config in configs
    ]
    for task in tasks:
        PROTOCOLS.get(task.config.kind).refuse(task)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"'{folder}' cannot be made: {error.strerror}"
        raise UserError(
            f"results go into a folder that can be written to; {reason}; set out=FOLDER"
        ) from error
    where = (
        f"{torch.get_num_threads()} CPU threads" if hardware.device.type == "cpu" else str(hardware.device)
    )
    messages.print(styled((subject.title, "bold"), f" · {subject.num_features} features · {where}"))
    if subject.identity.get("verdict") not in (None, "healthy", "imported"):
        messages.print(f"its verdict: {subject.identity['verdict']}", style="yellow")
    return [_run_protocol(task, overrides, folder, console) for task in tasks]


def _run_protocol(task: Task, overrides: Sequence[str], folder: Path, console: Console) -> dict[str, Any]:
    """Runs a protocol, writes its record and shows it."""
    started = time.perf_counter()
    outcome: Outcome = PROTOCOLS.get(task.config.kind).load()(task)
    record = _record(task, outcome, overrides, time.perf_counter() - started)
    file = folder / _file_name(record)
    write_json(file, record)
    _show(console, record, file)
    return record


def _record(task: Task, outcome: Outcome, overrides: Sequence[str], seconds: float) -> dict[str, Any]:
    config, data = task.config, task.data
    settings = dataclasses.asdict(config)
    kind = PROTOCOLS.get(config.kind)
    others = [name for name in PROTOCOLS.names() if name != config.kind]
    precision = {
        "features": task.hardware.precision if kind.reads_images else None,
        "training": task.training.precision if kind.trains else None,
    }
    described, images = None, ""
    if data is not None:
        described = _describe_data(task)
        images = f"; images of {config.size} pixels, features in {precision['features']}"
        if kind.reads_labels:
            images += f", {described['test_images']} test images, {described['tested_on']}"
    here = environment(task.hardware)
    return {
        "protocol": config.protocol,
        "kind": config.kind,
        "in_words": outcome.in_words + images,
        "encoder": {"title": task.subject.title, **task.subject.identity},
        "data": described,
        "metric": outcome.metric,
        "top1": outcome.top1,
        "top1_std": outcome.top1_std,
        "rows": list(outcome.rows),
        "details": outcome.details,
        "seconds": seconds,
        "seed": config.seed,
        "precision": precision,
        "settings": {key: value for key, value in settings.items() if key not in others},
        "overrides": list(overrides),
        "environment": {
            key: here[key] for key in ("platform", "processor", "cpu_cores", "cpu_threads", "device")
        },
        "git_commit": here["git_commit"],
        "versions": here["versions"],
    }


def _describe_data(task: Task) -> dict[str, Any]:
    data, config = task.data, task.config.data
    assert data is not None
    assert config is not None
    tested_on = None
    if data.test is not None:
        tested_on = "a part held out of the training images" if config.holdout else "the test set"
    return {
        "name": config.name,
        "train_images": len(data.train),
        "labelled_images": None if data.labelled is None else len(data.labelled),
        "test_images": None if data.test is None else len(data.test),
        "tested_on": tested_on,
        "classes": None if data.classes is None else len(data.classes),
        "size": task.config.size,
        "skipped": len(data.skipped),
    }


def _file_name(record: dict[str, Any]) -> str:
    """Returns a name that two evaluations share only if they are the same one done again."""
    free = ("progress", "out", "threads", "run")
    settings = without_added(record["settings"])  # keys that came later change no name
    identity = {
        "settings": {key: value for key, value in settings.items() if key not in free},
        "encoder": {key: record["encoder"][key] for key in ("digest", "mean", "std", "weights")},
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:8]
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
    console.print(table if columns else title)
    console.print(f"{record['in_words']} · {record['seconds']:.1f} s · {file}", style="dim")


def _cell(column: str, value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float) and column.startswith(("top", "AP")):
        return _percent(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
