"""Free memory: of the machine, of the cgroups this process is in, and of a GPU.

A container's limit is a cgroup's, which `/proc/meminfo` does not know; the kernel kills what exceeds it.

- [0] cgroup v2, https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.current, memory.stat)
- [1] cgroup v1, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch

__all__ = ["free_memory", "resident"]

ROOT = Path("/")


def free_memory(device: torch.device, root: Path = ROOT) -> int | None:
    """Returns the bytes that could still be taken on a device; None where the system does not report them.

    Args:
        device: a GPU, or the CPU for the machine's memory.
        root: where `proc` and `sys` are.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if sys.platform != "linux" or device.type != "cpu":
        return None
    free = [*_machine(root), *_address_space(root), *_cgroups(root)]
    return max(0, min(free)) if free else None


def resident(root: Path = ROOT) -> int:
    """Returns the bytes of this process that are in memory now; 0 where the system does not report them."""
    return _entry(root / "proc/self/status", "VmRSS:") or 0


def _machine(root: Path) -> Iterator[int]:
    available = _entry(root / "proc/meminfo", "MemAvailable:")
    if available is not None:
        yield available


def _address_space(root: Path) -> Iterator[int]:
    """Yields the bytes that `ulimit -v` leaves."""
    import resource  # not on Windows

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    taken = _entry(root / "proc/self/status", "VmSize:")
    if limit != resource.RLIM_INFINITY and taken is not None:
        yield limit - taken


def _cgroups(root: Path) -> Iterator[int]:
    """Yields the bytes that each memory cgroup above this process leaves, with file pages that could be dropped."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # v2
            mount, names, dropped = root / "sys/fs/cgroup", ("memory.max", "memory.current"), "inactive_file"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names, dropped = ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"
        else:
            continue
        group = mount / path.lstrip("/")
        # In a container the path may be the host's, and the mount's top this process's group.
        for folder in (group, *group.parents):
            limit, used = (_number(folder / name) for name in names)
            if limit is not None and used is not None and limit < 2**60:  # v1 writes "none" as almost 2**63
                yield limit - used + (_entry(folder / "memory.stat", dropped, unit=1) or 0)
            if folder == mount:
                break


def _number(file: Path) -> int | None:
    lines = _lines(file)
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _entry(file: Path, name: str, unit: int = 1024) -> int | None:
    for line in _lines(file):
        phrases = line.split()
        if phrases[:1] == [name]:
            return int(phrases[1]) * unit
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
