"""How much memory a contender takes, with the worker processes of its DataLoader."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Memory", "group_memory"]

PROC = Path("/proc")


class Memory(NamedTuple):
    """In MiB."""

    peak: float  # of the main process: the most that was ever resident (VmHWM)
    workers: float  # private pages of its other processes, now; what they share is in `peak`


def group_memory(leader: int) -> Memory | None:
    """The memory of a process group, by its leader's number; None where there is no /proc."""
    if sys.platform != "linux":
        return None
    peak = _sum(PROC / str(leader) / "status", ("VmHWM",))
    others = [pid for pid in _group(leader) if pid != leader]
    return Memory(peak, sum(_sum(PROC / str(pid) / "smaps_rollup", ("Private_",)) for pid in others))


def _group(leader: int) -> Iterator[int]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[2]) == leader:
                yield int(folder.name)


def _sum(file: Path, names: tuple[str, ...]) -> float:
    """The sum of the entries that begin so, in MiB; 0 if the process has ended."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) / 1024
