"""Differences between two runs that should be equal: a run and the same run killed and continued.

Compared to the bit: the last checkpoint (weights, queues, memory, target encoder, optimizer, schedule, position),
the rows of `metrics.csv`, `result.json`, and all that TensorBoard shows. Left out are times, memory, the folder's
name and the commit.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["RunComparison", "compare_run_dirs", "events", "flat"]

LEFT_OUT = {
    "seconds",
    "train_seconds",
    "views_per_second",
    "peak_memory_mb",
    "run_dir",
    "resume",
    "git_commit",
}
Events = dict[
    tuple[str, int], str
]  # (tag, step) to the value, with digits enough to distinguish every float32


class RunComparison(NamedTuple):
    """Extent of a comparison, and the differences."""

    tensors: int
    size: int  # of those tensors, in bytes
    events: int  # of TensorBoard, over all starts of the second run
    differences: list[str]


def compare_run_dirs(whole: Path, parts: Path) -> RunComparison:
    """Compares two run directories.

    Args:
        whole: of the run that was never killed.
        parts: of the one that was killed and continued, any number of times.
    """
    saved = [dict(flat(_checkpoint(folder))) for folder in (whole, parts)]
    tensors = [value for path, value in saved[0].items() if path.endswith("tensor")]
    differences = _unequal("last.ckpt", *saved)
    differences += _unequal("metrics.csv", *(dict(flat(_rows(folder))) for folder in (whole, parts)))
    differences += _unequal("result.json", *(dict(flat(_result(folder))) for folder in (whole, parts)))
    shown, count = events(whole / "tensorboard"), 0
    differences += _unequal("TensorBoard", shown, events(parts / "tensorboard"))
    for file in sorted((parts / "tensorboard").iterdir()):  # one for each start
        written = events(file)
        differences += _unequal(file.name, {key: shown.get(key) for key in written}, written)
        count += len(written)
    return RunComparison(len(tensors), sum(map(len, tensors)), count, differences)


def events(path: Path) -> Events:
    """Returns the scalars that TensorBoard shows of a folder, or that a single file of it holds."""
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    read = EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    values: Events = {}
    for tag in read.Tags()["scalars"]:
        if tag.rpartition("/")[2] in LEFT_OUT:
            continue
        for event in read.Scalars(tag):
            earlier = f"{values[tag, event.step]} and " if (tag, event.step) in values else ""
            values[tag, event.step] = earlier + repr(event.value)
    return values


def _checkpoint(folder: Path) -> Any:
    from ssl_zoo.run_dir.checkpoints import LAST, read_checkpoint

    return read_checkpoint(folder / "checkpoints" / LAST)


def _rows(folder: Path) -> Any:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _result(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of nested lists and mappings with their path; tensors as bytes, so that nan equals nan."""
    import torch

    if isinstance(value, (dict, list, tuple)):
        yield f"{path}: {type(value).__name__}", len(value)
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in LEFT_OUT:
                yield from flat(inner, f"{path}/{key}")
    elif isinstance(value, torch.Tensor):
        bits = value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        yield f"{path}: {value.dtype} {tuple(value.shape)} tensor", bits
    else:
        yield f"{path}: {type(value).__name__}", repr(value)


def _unequal(what: str, a: dict[Any, Any], b: dict[Any, Any]) -> list[str]:
    missing = object()
    return [
        f"{what}: {key}" for key in sorted({*a, *b}, key=str) if a.get(key, missing) != b.get(key, missing)
    ]
