"""The most memory that this process has had, since its start or since it was last reset."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch

__all__ = ["peak_memory_mb", "reset_peak_memory"]

PROCESS = Path("/proc/self")  # on Linux


def peak_memory_mb(device: torch.device) -> float:
    """Returns the most that was allocated on a GPU, elsewhere the most that this process ever had, in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def reset_peak_memory() -> None:
    """Has the peak count anew from what is in use now, between two runs of a process; on Linux and GPUs alone."""
    with contextlib.suppress(OSError):
        (PROCESS / "clear_refs").write_text("5", encoding="utf-8")  # VmHWM; see proc(5)
    if torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)
