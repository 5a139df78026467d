"""Finds run directories below a folder. Only names are read; see `listed_run` for what is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ssl_zoo.files.locks import LOCK, SUBMITTED
from ssl_zoo.files.writing import TEMPORARY

__all__ = ["CONFIG", "RESULT", "SUITE", "Found", "find_folders"]

CONFIG, RESULT, SUITE = "config.yaml", "result.json", "suite.json"
# Folders that hold no run, whatever else they hold: in a run directory, and anywhere.
WITHIN = {"checkpoints", "csv", "tensorboard", "loggers", "report", SUBMITTED}
ANYWHERE = {"wandb", "mlruns"}
BEFORE = {LOCK, SUBMITTED}  # all that a run directory holds before its run has begun


class Found(NamedTuple):
    """A folder of interest: a run directory, or the folder of a suite."""

    folder: Path
    name: str  # the path from where the search began
    files: frozenset[str]  # names of what it holds

    @property
    def is_suite(self) -> bool:
        """Whether it holds the record of a suite, and no run."""
        return SUITE in self.files


def find_folders(root: Path) -> Iterator[Found]:
    """Yields run directories and folders of suites, those below others too, in the order of their names.

    Hidden folders and links to folders are passed over, and so is what cannot be opened, or vanishes meanwhile.
    """
    waiting = [(root, "")]
    while waiting:
        folder, name = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
        except OSError:
            continue
        files = frozenset(kinds)
        is_run = _is_run(files)
        if is_run or SUITE in files:
            yield Found(folder, name or folder.absolute().name, files)
        passed_over = WITHIN | ANYWHERE if is_run else ANYWHERE
        below = [n for n, is_folder in kinds.items() if is_folder and n[0] != "." and n not in passed_over]
        waiting += [(folder / n, f"{name}/{n}" if name else n) for n in sorted(below, reverse=True)]


def _is_run(files: frozenset[str]) -> bool:
    if CONFIG in files or {RESULT, "environment.json"} <= files:
        return True
    begun = {name for name in files if not name.endswith(TEMPORARY)}
    return bool(begun) and begun <= BEFORE
