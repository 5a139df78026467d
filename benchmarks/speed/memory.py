"""Memory of a process with the worker processes of its DataLoader."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["GroupMemory", "group_memory"]

PROC = Path("/proc")


class GroupMemory(NamedTuple):
    """Memory of a process group in MiB."""

    peak: float  # resident memory of the main process (VmHWM)
    workers: float  # private pages of its other processes, now; shared ones are in `peak`


def group_memory(leader: int) -> GroupMemory | None:
    """Returns the memory of a process group, by its leader's number; None where there is no /proc."""
    if sys.platform != "linux":
        return None
    peak = _sum(PROC / str(leader) / "status", ("VmHWM",))
    others = [pid for pid in _group(leader) if pid != leader]
    return GroupMemory(peak, sum(_sum(PROC / str(pid) / "smaps_rollup", ("Private_",)) for pid in others))


def _group(leader: int) -> Iterator[int]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if int(fields[2]) == leader:
                yield int(folder.name)


def _sum(file: Path, names: tuple[str, ...]) -> float:
    """Adds up the entries that begin with one of the names, in MiB; 0 if the process has ended."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) / 1024
